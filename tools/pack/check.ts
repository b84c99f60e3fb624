import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newUser } from './new-user.ts';

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

/** Every page of the documentation, from a service that runs. Gives how many. */
async function documentation(lemma: string): Promise<number> {
  const listen = ['--listen-grpc', '--listen-decision', '--listen-control'].flatMap((flag) => [
    flag,
    '127.0.0.1:0',
  ]);
  const child = spawn(process.execPath, [lemma, 'serve', '--json', ...listen], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [announced] = (await once(child.stdout, 'data')) as [Buffer];
    const { data } = JSON.parse(announced.toString()) as { data: { addresses: { control: string } } };
    const names = readdirSync(join(root, 'src/docs'))
      .filter((file) => file.endsWith('.md'))
      .map((file) => `/docs/${file.replace(/\.md$/, '')}`);
    for (const path of ['/docs', '/openapi', '/admin/agent-ops', '/wallet', ...names]) {
      const { status } = await fetch(`http://${data.addresses.control}${path}`);
      if (status !== 200) throw new Error(`${path} answered ${status}`);
    }
    return names.length;
  } finally {
    const closed = once(child, 'close');
    child.kill('SIGTERM');
    await closed;
  }
}

/** A program that uses each of the clients, as their types are published. */
const PROGRAM = `
import express from 'express';
import { fastify } from 'fastify';
import { createLemmaFetch, generateKey, LemmaDenied } from 'lemma-authz/client';
import { keepBody, lemma } from 'lemma-authz/express';
import { lemma as plugin, verifyCredentialWithTrust } from 'lemma-authz/fastify';

const lemmaFetch = createLemmaFetch({ credential: '{}', key: await generateKey() });
const status: number = await lemmaFetch('https://api.example.com').then((response) => response.status);
const options = { trust: [{ org: 'acme', env: 'prod', keys: [{ x: '' }] }], audience: 'https://api.example.com' };
const app = express();
app.use(express.json({ verify: keepBody }));
app.get('/', lemma({ ...options, scope: ['a'] }), (request, response) => {
  const runtime: string | undefined = request.lemma?.actor?.runtime_id;
  response.json({ runtime, status });
});
const server = fastify();
await server.register(plugin, options);
server.get('/', { config: { lemma: { scope: ['a'] } } }, async (request) => request.lemma?.decision_id ?? null);
const verification = await verifyCredentialWithTrust({});
if (!verification.valid) throw new Error(verification.error, { cause: LemmaDenied });
`;
const PROGRAM_THAT_LOADS = `
const names = ['client', 'express', 'fastify'];
const modules = await Promise.all(names.map((name) => import('lemma-authz/' + name)));
console.log(names.map((name, i) => name + ' ' + Object.keys(modules[i]).length).join(', '));
`;
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');

/** Of the versions that are tested with. */
function typings(): string[] {
  const { devDependencies, dependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as Record<'devDependencies' | 'dependencies', Record<string, string>>;
  const all = { ...devDependencies, ...dependencies };
  return ['express', 'fastify', '@types/express', '@types/node'].map((name) => `${name}@${all[name]}`);
}

function run(program: string): string {
  const args = ['--input-type=module', '--eval', program];
  return execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' }).trim();
}

try {
  const tarball =
    npm(root, 'pack', '--ignore-scripts=false', '--pack-destination', folder).trim().split('\n').at(-1) ?? '';
  writeFileSync(join(folder, 'package.json'), '{"private": true}\n');
  npm(folder, 'install', join(folder, tarball));
  const lemma = join(folder, 'node_modules', 'lemma-authz', 'dist', 'bin.js');
  console.log(`${tarball}: installed from npm's tarball, its demo passes ${demo(process.execPath, [lemma])}`);
  console.log(
    `its service shows the console, the API reference and ${await documentation(lemma)} pages of documentation`,
  );
  const steps = newUser(join(folder, tarball));
  const took = steps.map(({ name, ms }) => `  ${(ms / 1000).toFixed(1).padStart(6)} s  ${name}`);
  console.log(`a new user's way, in a home with nothing in it:\n${took.join('\n')}`);
  npm(folder, 'install', ...typings());
  writeFileSync(join(folder, 'program.mts'), PROGRAM);
  // Also what our own declarations say: a name that only this clone can resolve must not be among them.
  const strict = [
    '--strict',
    '--noEmit',
    '--skipLibCheck',
    'false',
    '--module',
    'nodenext',
    '--types',
    'node',
  ];
  execFileSync(process.execPath, [tsc, ...strict, 'program.mts'], { cwd: folder, stdio: 'inherit' });
  console.log(`its clients are typed and load: ${run(PROGRAM_THAT_LOADS)}`);
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
