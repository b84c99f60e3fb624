import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { constants, zstdCompressSync } from 'node:zlib';
import { boundMemory } from './memory.ts';

/**
 * tools/compiler/*.go -> src/policy/compiler/opa.wasm.zst: the same module from any folder, on any machine, which
 * `digest.txt` holds to. With --digest the digest is written instead of compared.
 */

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ARTEFACT = fileURLToPath(new URL('../../src/policy/compiler/opa.wasm.zst', import.meta.url));
const DIGEST = join(HERE, 'digest.txt');
const GO = /^toolchain (go[\d.]+)$/m.exec(readFileSync(join(HERE, 'go.mod'), 'utf8'))?.[1] ?? 'local';

/** Whatever the caller's environment says, these decide what comes out. */
const FIXED = {
  GOOS: 'wasip1',
  GOARCH: 'wasm',
  GOFLAGS: '',
  GOWORK: 'off',
  GOWASM: '',
  GOEXPERIMENT: '',
  CGO_ENABLED: '0',
  GOTOOLCHAIN: GO,
};

/** 512 MiB: a policy that wants more fails, and takes nobody's machine along. */
const MAX_PAGES = 8192;

const { values } = parseArgs({ options: { digest: { type: 'boolean', default: false } } });
const folder = mkdtempSync(join(tmpdir(), 'lemma-compiler-'));
try {
  const wasm = boundMemory(buildIn(folder), MAX_PAGES);
  const digest = createHash('sha256').update(wasm).digest('hex');
  if (values.digest) writeFileSync(DIGEST, `${digest}\n`);
  const expected = readFileSync(DIGEST, 'utf8').trim();
  if (digest !== expected) {
    throw new Error(
      `the module's digest is ${digest}, not ${expected} as in tools/compiler/digest.txt; after a change of its sources run \`npm run compiler -- --digest\``,
    );
  }
  const packed = zstdCompressSync(wasm, { params: { [constants.ZSTD_c_compressionLevel]: 19 } });
  writeFileSync(ARTEFACT, packed);
  console.log(`${digest}  ${wasm.length} bytes, ${packed.length} packed`);
} catch (cause) {
  console.error(cause instanceof Error ? cause.message : cause);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function buildIn(folder: string): Uint8Array {
  for (const name of readdirSync(HERE)) {
    if (/\.go$|^go\.(?:mod|sum)$/.test(name)) copyFileSync(join(HERE, name), join(folder, name));
  }
  go(folder, 'mod', 'vendor');
  const opa = join(folder, 'vendor/github.com/open-policy-agent/opa');
  dropOldCapabilities(join(opa, 'capabilities'));
  runTestsInTurn(join(opa, 'v1/tester/runner.go'));
  tellNoUnification(join(opa, 'v1/topdown/eval.go'));
  const plain = ['-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid='];
  go(folder, 'build', '-mod=vendor', '-buildmode=c-shared', ...plain, '-o', 'opa.wasm', '.');
  return readFileSync(join(folder, 'opa.wasm'));
}

/** What each past release could do, 13 MB that nobody asks for. One must stay, for the `embed` there. */
function dropOldCapabilities(folder: string): void {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  for (const name of names.sort().slice(1)) rmSync(join(folder, name));
}

/**
 * OPA starts a goroutine for every rule, and each grows its stack anew: a quarter of the time here, where nothing runs
 * at the same time anyway.
 */
function runTestsInTurn(file: string): void {
  const text = readFileSync(file, 'utf8');
  const parts = text.split('var wg sync.WaitGroup');
  const imported = '\t"sync"\n';
  if (parts.length !== 2 || !text.includes(imported) || text.split('sync.').length !== 2)
    throw new Error("OPA's tester is not as it was: mend runTestsInTurn in tools/compiler/build.ts");
  const inTurn =
    'type inTurn struct{}\n\nfunc (inTurn) Go(work func()) { work() }\n\nfunc (inTurn) Wait() {}\n';
  writeFileSync(file, `${parts.join('var wg inTurn').replace(imported, '')}\n${inTurn}`);
}

/** OPA makes an expression of every unification for its tracers, also when there is but that of coverage, which passes over it. */
function tellNoUnification(file: string): void {
  const text = readFileSync(file, 'utf8');
  const head = 'func (e *eval) traceUnify(a, b *ast.Term) {\n';
  const parts = text.split(head);
  if (parts.length !== 2)
    throw new Error("OPA's evaluator is not as it was: mend tellNoUnification in tools/compiler/build.ts");
  const unless = `${head}	if len(e.tracers) == 1 {
		if _, is := e.tracers[0].(interface{ PassesOverUnification() }); is {
			return
		}
	}
`;
  writeFileSync(file, parts.join(unless));
}

function go(cwd: string, ...args: string[]): void {
  try {
    execFileSync('go', args, {
      cwd,
      env: { ...process.env, ...FIXED },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    throw new Error(
      missing
        ? 'npm run compiler needs Go 1.26 or newer on the PATH: https://go.dev/dl'
        : `go ${args.join(' ')} failed: see above`,
      { cause },
    );
  }
}
