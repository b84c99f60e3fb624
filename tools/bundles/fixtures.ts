import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { compileBundle } from '../../src/policy/make.ts';
import { jsonText } from '../../src/policy/policy-files.ts';
import { writeTar } from '../../src/policy/tar.ts';
import { findCompiler } from './find.ts';

/**
 * test/policy/fixtures/*.rego -> *.tar.gz: bundles that tests read without a compiler at hand. Run
 * `node tools/bundles/fixtures.ts` after a change of the Rego there.
 */

const FOLDER = fileURLToPath(new URL('../../test/policy/fixtures/', import.meta.url));

const compiler = await findCompiler();
for (const file of (await readdir(FOLDER)).filter((name) => name.endsWith('.rego'))) {
  const name = basename(file, '.rego');
  const bundle = await compileBundle(compiler, {
    profile: 'low',
    rego: new Map([[`lemma/low/${file}`, await readFile(join(FOLDER, file), 'utf8')]]),
    data: jsonText({ lemma: { low: { settings: { fixture: name } } } }),
    meta: { serial: 1, confirm: false, record: 'behind', headers: [], redact: [], envoy: false },
    anyBuiltin: true,
  });
  await writeFile(join(FOLDER, `${name}.tar.gz`), gzipSync(writeTar(bundle.files), { level: 9 }));
  console.log(`${name}  ${bundle.sha256}`);
}
await compiler.close();
