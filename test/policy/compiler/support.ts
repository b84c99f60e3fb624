import { existsSync } from 'node:fs';
import type { Answer, PolicyProblem } from '../../../src/policy/compiler/answers.ts';
import type { Compiler } from '../../../src/policy/compiler/compiler.ts';
import { ARTEFACT } from '../../../src/policy/compiler/wasm-host.ts';
import { compileEngine, type Engine } from '../../../src/policy/engine.ts';
import { compileBundle } from '../../../src/policy/make.ts';
import type { ProfileMeta, Sources } from '../../../src/policy/policy-files.ts';
import { findCompiler } from '../../../tools/bundles/find.ts';

/** Without the module the tests are skipped, aloud; in CI they fail. */
export function wasmBuilt(): boolean {
  if (existsSync(ARTEFACT)) return true;
  if (process.env.CI === 'true') throw new Error('the compiler was not built: `npm run compiler`');
  console.warn('      skipped: the compiler was not built; `npm run compiler` needs Go 1.26');
  return false;
}

/** OPA's command of our version; null, aloud, where it is not to be had. */
export async function nativeOpa(): Promise<Compiler | null> {
  try {
    return await findCompiler('native');
  } catch (cause) {
    if (process.env.CI === 'true') throw cause;
    console.warn(`      skipped: ${cause instanceof Error ? cause.message : cause}`);
    return null;
  }
}

/** A policy of the profile `low` as the engine runs it; it may call any built-in. */
export async function engineOf(compiler: Compiler, rego: Sources): Promise<Engine> {
  const meta: ProfileMeta = {
    serial: 1,
    confirm: false,
    record: 'behind',
    headers: [],
    redact: [],
    envoy: false,
    // Of many expressions at once, some of them long.
    steps: 20_000_000,
  };
  const data = '{"lemma": {"low": {}}}\n';
  return compileEngine(await compileBundle(compiler, { profile: 'low', rego, data, meta, anyBuiltin: true }));
}

/** Calls of tests may wait for other tests' processes. */
export const PATIENT_MS = 60_000;

export function files(texts: { readonly [path: string]: string }): ReadonlyMap<string, string> {
  return new Map(Object.entries(texts));
}

export function resultOf<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.result;
  throw new Error(answer.errors.map(({ file, row, message }) => `${file}:${row}: ${message}`).join('\n'));
}

export function errorOf(answer: Answer<unknown>): PolicyProblem {
  const [problem] = answer.errors;
  if (problem === undefined) throw new Error('no error');
  return problem;
}
