import { access } from 'node:fs/promises';
import type {
  Answer,
  BuildRequest,
  Built,
  CheckRequest,
  EvalRequest,
  Evaluated,
  Explained,
  ExplainRequest,
  FormatRequest,
  Formatted,
  Limits,
  Parsed,
  ReviewRequest,
  Sources,
  Tested,
  TestRequest,
} from './answers.ts';
import { readCapabilities } from './capabilities.ts';
import { nativeHost, versionOf } from './native-host.ts';
import type { Capabilities, OpaHost, RawRequest } from './protocol.ts';
import {
  answerOf,
  builtOf,
  distinct,
  evaluatedOf,
  explainedOf,
  formattedOf,
  parsedOf,
  testedOf,
} from './read-answer.ts';
import { textOf } from './sources.ts';
import { ARTEFACT, wasmHost } from './wasm-host.ts';

/**
 * OPA's compiler, formatter, tester and evaluator, apart from the service: in a process of its own, which is started
 * with the first call and kept for the next. What OPA objects to is in the answer's `errors`, and so is a call that was
 * ended because it took too long.
 *
 * Each call throws InputError for a path that is none.
 */
export interface Compiler {
  readonly engine: 'wasm' | 'native';
  /** Of OPA. */
  readonly version: string;
  /** Parses, types and compiles, for the engine's capabilities and strictly unless told otherwise. */
  check(request: CheckRequest): Promise<Answer<null>>;
  /** Each Rego file as `opa fmt` writes it. */
  fmt(request: FormatRequest): Promise<Answer<Formatted>>;
  build(request: BuildRequest): Promise<Answer<Built>>;
  /** Runs the rules `test_…`. The answer is `ok` also when some fail. */
  test(request: TestRequest): Promise<Answer<Tested>>;
  eval(request: EvalRequest): Promise<Answer<Evaluated>>;
  /** An evaluation, and what became of each rule on the way. `compiler_unavailable` from native `opa`. */
  explain(request: ExplainRequest): Promise<Answer<Explained>>;
  /**
   * A check of policies and one of them with their tests, both strict, each problem once; then what a lint needs to know.
   * Null from native `opa`.
   */
  review(request: ReviewRequest): Promise<Answer<Parsed | null>>;
  /** All built-ins and features of this OPA. */
  capabilities(): Promise<Answer<Capabilities>>;
  /** Ends the process; a call that is under way is answered with `compiler_failed`. */
  close(): Promise<void>;
}

export interface CompilerOptions {
  /** Absent: the module if it was built, otherwise `opa`. */
  readonly engine?: 'wasm' | 'native';
  /** Path of the module. Absent: where `npm run compiler` puts it. */
  readonly artefact?: string;
  /** The `opa` command. Absent: from the PATH. */
  readonly opa?: string;
  /** For one call, of processor time, and ten times that by the clock; of native `opa` by the clock. 10 s when absent. */
  readonly timeLimitMs?: number;
}

/** Neither OPA's module nor `opa` is there. */
export class CompilerUnavailable extends Error {
  override readonly name = 'CompilerUnavailable';
}

const TIME_LIMIT_MS = 10_000;

/** @throws CompilerUnavailable with one sentence that says what to do */
export async function openCompiler(options: CompilerOptions = {}): Promise<Compiler> {
  const host = await openHost(options);
  const limitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
  const ask = (
    raw: RawRequest,
    { timeLimitMs = limitMs, bounds }: Partial<Sources> & Pick<EvalRequest, 'bounds'>,
  ) => host.ask(raw, timeLimitMs, bounds);
  return {
    engine: host.kind,
    version: host.version,
    async check(request) {
      const strict = request.strict ?? true;
      const raw: RawRequest = { op: 'check', ...textOf(request), ...limitsOf(await held(request)), strict };
      return answerOf(await ask(raw, request), () => null);
    },
    async fmt(request) {
      return answerOf(await ask({ op: 'fmt', ...textOf(request) }, request), formattedOf);
    },
    async build(request) {
      const { entrypoints, revision = '' } = request;
      const raw: RawRequest = { op: 'build', ...textOf(request), ...limitsOf(await held(request)) };
      return answerOf(await ask({ ...raw, entrypoints, revision }, request), builtOf);
    },
    async test(request) {
      const { coverage = false, run = '' } = request;
      const raw: RawRequest = { op: 'test', ...textOf(request), ...limitsOf(request) };
      return answerOf(await ask({ ...raw, coverage, run }, request), testedOf);
    },
    async eval(request) {
      const { query, input, trace, strictBuiltinErrors = false } = request;
      const raw: RawRequest = {
        op: 'eval',
        ...textOf(request),
        ...limitsOf(request),
        query,
        ...(input === undefined ? {} : { input }),
        ...(trace === undefined ? {} : { trace }),
        strict_builtin_errors: strictBuiltinErrors,
      };
      return answerOf(await ask(raw, request), evaluatedOf);
    },
    async explain(request) {
      const { query, input } = request;
      const raw: RawRequest = {
        op: 'explain',
        ...textOf(request),
        ...limitsOf(request),
        query,
        ...(input === undefined ? {} : { input }),
      };
      return answerOf(await ask(raw, request), explainedOf);
    },
    async review(request) {
      const raw: RawRequest = { op: 'review', ...textOf(request), ...limitsOf(await held(request)) };
      const answer = await ask({ ...raw, strict: true, tests: request.tests }, request);
      return answerOf({ ...answer, errors: distinct(answer.errors) }, parsedOf);
    },
    async capabilities() {
      return answerOf(await ask({ op: 'capabilities' }, {}), (result) => result as Capabilities);
    },
    close: () => host.close(),
  };
}

async function openHost({ engine, artefact = ARTEFACT, opa = 'opa' }: CompilerOptions): Promise<OpaHost> {
  if (engine !== 'native' && (await exists(artefact))) return wasmHost(artefact);
  const version = engine === 'wasm' ? null : await versionOf(opa);
  if (version !== null) return nativeHost(opa, version);
  throw new CompilerUnavailable(
    'The policy compiler is not there: build it with `npm run compiler` (needs Go 1.26), or put `opa` 1.x on the PATH.',
  );
}

/** What makes a bundle is held to what the engine runs, unless the caller says otherwise. */
async function held<T extends Limits>(request: T): Promise<T> {
  return request.capabilities === undefined
    ? { ...request, capabilities: await readCapabilities() }
    : request;
}

function limitsOf({ capabilities = null, strict = false, schema }: Limits) {
  return { capabilities, strict, ...(schema === undefined ? {} : { schema }) };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
