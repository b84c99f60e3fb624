import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What npm would publish, installed as a user does and put to work: `npm run pack:check`. */
const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'lemma-pack-'));

function npm(cwd: string, ...args: string[]): string {
  const loglevel = ['--loglevel=error', '--no-audit', '--no-fund'];
  return execFileSync('npm', [...args, ...loglevel], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function demo(command: string, args: readonly string[]): string {
  const answer = execFileSync(command, [...args, 'demo', '--json'], { cwd: folder, encoding: 'utf8' });
  const { data } = JSON.parse(answer) as { data: { passed: number; total: number } };
  if (data.passed === data.total) return `${data.passed}/${data.total}`;
  throw new Error(`the demo passed ${data.passed} of ${data.total}`);
}

try {
  const tarball =
    npm(root, 'pack', '--ignore-scripts=false', '--pack-destination', folder).trim().split('\n').at(-1) ?? '';
  writeFileSync(join(folder, 'package.json'), '{"private": true}\n');
  npm(folder, 'install', join(folder, tarball));
  const lemma = join(folder, 'node_modules', 'lemma-authz', 'dist', 'bin.js');
  console.log(`${tarball}: installed from npm's tarball, its demo passes ${demo(process.execPath, [lemma])}`);
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    const image = join(folder, 'image');
    execFileSync('sh', [join(root, 'tools/deploy/rootfs.sh'), image, folder, process.execPath]);
    // As the container does: another user, who can write nothing but its data.
    const inside = [
      '--userspec=65532:65532',
      image,
      '/bin/node',
      '/app/node_modules/lemma-authz/dist/bin.js',
    ];
    console.log(`what tools/deploy/Dockerfile puts into the image passes ${demo('chroot', inside)}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
