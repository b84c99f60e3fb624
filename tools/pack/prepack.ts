import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Makes of this clone what npm publishes: JavaScript, the documentation's pages and the console in `dist/` (Node strips no types below node_modules), and a
 * package.json that points there and does not bring a Node of its own. `postpack` puts package.json back.
 */
const root = fileURLToPath(new URL('../../', import.meta.url));
const manifestPath = join(root, 'package.json');
const backupPath = join(root, '.package.json.unpacked');

if (existsSync(backupPath))
  throw new Error(`${backupPath} is left from an interrupted pack: move it back to package.json`);
rmSync(join(root, 'dist'), { recursive: true, force: true });
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
for (const project of ['tools/pack', 'tools/pack/types.json'])
  execFileSync(process.execPath, [tsc, '-p', join(root, project)], { stdio: 'inherit' });
// What tsc writes of a declaration names files as the source does.
for (const name of readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })) {
  if (!name.endsWith('.d.ts')) continue;
  const path = join(root, 'dist', name);
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replaceAll(/((?:from|import\()\s*'\.[^']+)\.ts'/g, "$1.js'"),
  );
}
// The pictures are the README's, which shows them from the repository.
cpSync(join(root, 'src/docs'), join(root, 'dist/docs'), {
  recursive: true,
  filter: (path) => basename(path) !== 'pictures',
});
execFileSync(process.execPath, [join(root, 'tools/console/build.ts')], { stdio: ['ignore', 2, 2] });
cpSync(join(root, 'src/console/built'), join(root, 'dist/console/built'), { recursive: true });

const text = readFileSync(manifestPath, 'utf8');
writeFileSync(backupPath, text);
const {
  optionalDependencies: _node,
  devDependencies: _dev,
  scripts: _scripts,
  ...manifest
} = JSON.parse(text) as Record<string, unknown>;
const published = JSON.parse(
  JSON.stringify(manifest)
    .replaceAll('./src/', './dist/')
    .replaceAll('src/bin.js', 'dist/bin.js')
    .replaceAll(/(dist\/[\w/-]+)\.ts"/g, '$1.js"'),
) as { exports: Record<string, string> };
const entries = Object.entries(published.exports).map(([name, path]) => [
  name,
  path.startsWith('./dist/') ? { types: path.replace(/\.js$/, '.d.ts'), default: path } : path,
]);
const complete = { ...published, exports: Object.fromEntries(entries) };
writeFileSync(manifestPath, `${JSON.stringify(complete, null, 2)}\n`);
