import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type BuildOptions, build } from 'esbuild';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Bytes, compressed. A tenth above what it is: whoever makes it larger should know. */
const MOST_BYTES = 20_000;

/** What a bundler makes of a program that imports the published names, and the files that are in it. */
async function bundle(program: string, options: BuildOptions) {
  const { outputFiles, metafile } = await build({
    ...{ bundle: true, write: false, metafile: true, minify: true, format: 'esm', logLevel: 'silent' },
    stdin: { contents: program, resolveDir: ROOT, loader: 'ts' },
    absWorkingDir: ROOT,
    ...options,
  });
  const [output] = Object.values(metafile?.outputs ?? {});
  const code = outputFiles?.[0]?.contents ?? new Uint8Array();
  const files = Object.entries(output?.inputs ?? {})
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path);
  return { code, files, imports: (output?.imports ?? []).map(({ path }) => path) };
}

const roomsOf = (files: readonly string[]) =>
  [
    ...new Set(
      files
        .filter((path) => path !== '<stdin>')
        .map((path) => path.replace(/^(src\/[^/]+|node_modules\/(?:@[^/]+\/)?[^/]+).*/, '$1')),
    ),
  ].sort();

describe('what a bundler makes of the client', () => {
  const browser: BuildOptions = { platform: 'browser' };

  it('for a browser holds nothing of the server, of Node or of a schema compiler', async () => {
    const { files, imports } = await bundle("export * from 'lemma-authz/client'", browser);
    assert.deepEqual(roomsOf(files), [
      'node_modules/@noble/ed25519',
      'node_modules/@noble/hashes',
      'src/client',
      'src/crypto',
      'src/proof',
      'src/reason.ts',
      'src/schema',
    ]);
    assert.deepEqual(imports, []);
  });

  it('for a browser is small', async () => {
    const { code } = await bundle("export * from 'lemma-authz/client'", browser);
    const bytes = gzipSync(code, { level: 9 }).length;
    assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
  });

  it('has only what is used', async () => {
    const { code, files } = await bundle("export { denialOf } from 'lemma-authz/client'", browser);
    assert.ok(code.length < 8_000, `${code.length} bytes`);
    assert.deepEqual(roomsOf(files), ['src/client', 'src/reason.ts']);
  });

  for (const name of ['express', 'fastify']) {
    it(`for ${name} loads no server: no store, gRPC, feed, policy engine or framework`, async () => {
      const { files, imports } = await bundle(`export * from 'lemma-authz/${name}'`, {
        ...{ platform: 'node', packages: 'external' },
        // The name is this package's own: to esbuild one package more.
        alias: { [`lemma-authz/${name}`]: `./src/client/${name}.ts` },
      });
      assert.deepEqual(roomsOf(files), [
        'src/client',
        'src/crypto',
        'src/gate',
        'src/proof',
        'src/reason.ts',
        'src/request',
        'src/schema',
      ]);
      const modules = [...new Set(imports)].filter((path) => !path.startsWith('@noble/')).sort();
      assert.deepEqual(modules, ['ajv', 'node:crypto', 'node:module']);
    });
  }
});
