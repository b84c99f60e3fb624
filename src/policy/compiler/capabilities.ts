import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Capabilities } from './protocol.ts';

/** Part of the package; also for stock OPA (`opa check --capabilities`). Found from `src` and from `dist`. */
export const CAPABILITIES_FILE = fileURLToPath(
  new URL('../../../policies/capabilities.json', import.meta.url),
);

/**
 * What a policy may call: the built-ins that OPA's compiler turns into WebAssembly itself, all of them pure, so that a
 * decision can be evaluated again at any time. Written by tools/bundles/capabilities.ts.
 */
export async function readCapabilities(): Promise<Capabilities> {
  return JSON.parse(await readFile(CAPABILITIES_FILE, 'utf8')) as Capabilities;
}
