/**
 * Runs a script of this clone on the Node that the lock file pins: `node tools/clone/run.mjs <script> [args]`.
 *
 * Plain JavaScript that any Node from 20 on reads. In a fresh clone it installs first (`npm ci`); afterwards npm finds
 * the pinned Node in node_modules/.bin by itself, and the script runs in this very process.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const OLDEST = 24;
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const [script = '', ...args] = process.argv.slice(2);
const path = join(root, script);
const CACHE = join(root, 'node_modules', '.cache', 'compile');

if (!installed()) install();
if (script === 'src/main.ts' && args[0] === 'serve') buildConsole();
if (isNew(process.versions.node)) {
  // Halves the start: compiled code and stripped types are kept, in a folder that nobody else writes to.
  nodeModule.enableCompileCache(CACHE);
  process.argv = [process.execPath, path, ...args];
  await import(pathToFileURL(path).href);
} else {
  runOnPinnedNode();
}

function isNew(version) {
  return Number(version.split('.')[0]) >= OLDEST;
}

/** npm leaves its own record of what it installed; a lock file that is newer was not installed yet. */
function installed() {
  const record = join(root, 'node_modules', '.package-lock.json');
  return existsSync(record) && statSync(record).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

function install() {
  process.stderr.write('Installing what the lock file names (once per clone) …\n');
  const npm = process.env.npm_execpath;
  const [command, first] = npm === undefined ? ['npm', []] : [process.execPath, [npm]];
  const { status } = spawnSync(command, [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    // What npm prints belongs to the installation, not to the answer of the command.
    stdio: ['ignore', 2, 2],
    shell: npm === undefined && process.platform === 'win32',
  });
  if (status !== 0) {
    process.stderr.write('npm ci failed: see above. Mend it, then run the command again.\n');
    process.exit(1);
  }
  const node = isNew(process.versions.node) ? process.execPath : pinnedNode();
  if (node !== undefined) spawnSync(node, [join(root, 'tools/clone/warm.mjs'), CACHE], { stdio: 'ignore' });
}

/** What `/admin/agent-ops` shows is built where a source of it is newer. The service starts without it too. */
function buildConsole() {
  const node = isNew(process.versions.node) ? process.execPath : pinnedNode();
  if (node === undefined) return;
  spawnSync(node, [join(root, 'tools/console/build.ts'), '--if-stale'], { stdio: ['ignore', 2, 2] });
}

/** Of the packages that the lock file pins; undefined where there is none for this machine. */
function pinnedNode() {
  const { platform, arch } = process;
  const binary = platform === 'win32' ? 'bin/node.exe' : 'bin/node';
  return [`node-${platform}-${arch}`, `node-bin-${platform}-${arch}`, `node-${platform.slice(0, 3)}-${arch}`]
    .map((name) => join(root, 'node_modules', name, binary))
    .find(existsSync);
}

function runOnPinnedNode() {
  const { platform, arch } = process;
  const node = pinnedNode();
  if (node === undefined) {
    process.stderr.write(
      `Lemma needs Node ${OLDEST} or newer; this is ${process.version}, and npm has no pinned Node for ${platform} ${arch}.\n` +
        'Install a newer Node, then run the command again.\n',
    );
    process.exit(2);
  }
  const child = spawn(node, [path, ...args], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
}
