import { renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
renameSync(
  fileURLToPath(new URL('.package.json.unpacked', root)),
  fileURLToPath(new URL('package.json', root)),
);
