import { Denial } from '../reason.ts';
import { type Adapter, DATA_FILE } from '../schema/bundle.ts';
import type { Trace } from '../schema/explanation.ts';
import type { Bundle } from './bundle.ts';
import type { Answer, ClauseTold, ExplainRequest } from './compiler/answers.ts';
import { readCapabilities } from './compiler/capabilities.ts';
import {
  type Compiler,
  type CompilerOptions,
  CompilerUnavailable,
  openCompiler,
} from './compiler/compiler.ts';
import type { TraceMode } from './compiler/protocol.ts';
import { answerOf } from './opa-envoy-result.ts';
import { isRego, type Sources } from './policy-files.ts';
import { lacksEntrypoint } from './stock.ts';

/** How OPA's own evaluator gets to a decision: the same Rego and data over the same input. */
export interface Traced extends Pick<Trace, 'evaluator' | 'decision' | 'lines' | 'cut' | 'error'> {
  /** What became of each rule, in OPA's order; null where that was not asked for. */
  readonly clauses: readonly ClauseTold[] | null;
  /** What the policy answered; undefined where it had no answer, or nothing was evaluated. */
  readonly value: unknown;
}

/**
 * Traces on behalf of a running service, apart from its decisions: one at a time (a few wait), bounded in time and size, in a
 * process that ends once it idles. Nothing is thrown: what goes wrong is in `error`.
 */
export interface Tracer {
  /**
   * @param input JSON text
   * @param mode `rules`: what became of each rule, instead of lines
   */
  trace(bundle: Bundle, input: string, mode: TraceMode | 'rules'): Promise<Traced>;
  close(): Promise<void>;
}

export interface TracerOptions {
  readonly compiler?: CompilerOptions;
  readonly timeLimitMs?: number;
  readonly idleMs?: number;
}

const TIME_LIMIT_MS = 5_000;
const IDLE_MS = 60_000;
const BOUNDS = { traceLines: 2_000, lineLength: 400, bytes: 2 << 20 } as const;
const MOST_WAITING = 4;
/** Rego, data and input are handed over on the event loop of the service. */
const MOST_SOURCES = 2 << 20;

const PRUNED =
  'stock `opa build` takes the rules of the entrypoint out of a bundle: their Rego is not there to be traced';

export function createTracer(options: TracerOptions = {}): Tracer {
  const { timeLimitMs = TIME_LIMIT_MS, idleMs = IDLE_MS } = options;
  let compiler: Compiler | undefined;
  let asked = 0;
  let before: Promise<unknown> = Promise.resolve();
  let closed = false;
  let idle: NodeJS.Timeout | undefined;

  async function end(): Promise<void> {
    clearTimeout(idle);
    const ended = compiler;
    compiler = undefined;
    await ended?.close();
  }

  async function evaluate(bundle: Bundle, input: string, mode: TraceMode | 'rules'): Promise<Traced> {
    if (lacksEntrypoint(bundle)) return untraced(PRUNED);
    compiler ??= await openCompiler(options.compiler);
    if (closed) return untraced('the service is stopping');
    const request = {
      files: evaluatedFiles(bundle),
      query: decisionQuery(bundle),
      input,
      // Nothing says that a bundle's Rego is what its module was made of: it gets no network here either.
      capabilities: await readCapabilities(),
      timeLimitMs,
      bounds: BOUNDS,
    };
    const answer =
      mode === 'rules' ? await clausesOf(compiler, request) : await linesOf(compiler, request, mode);
    if (answer.ok) {
      const { adapter } = bundle.manifest.metadata.lemma;
      const { value, clauses, ...seen } = answer.result;
      return {
        evaluator: `OPA ${compiler.version}`,
        decision: request.query,
        error: null,
        ...seen,
        value: adaptedAnswer(value, adapter),
        clauses: clauses?.map((clause) => adaptedClause(clause, adapter)) ?? null,
      };
    }
    // What a hostile policy has grown is given back at once.
    await end();
    return untraced(answer.errors[0]?.message ?? 'OPA evaluated nothing');
  }

  return {
    async trace(bundle, input, mode) {
      if (closed) return untraced('the service is stopping');
      if (asked > MOST_WAITING)
        return untraced('other traces are being made, and some wait: ask again in a moment');
      if (![...bundle.files.keys()].some(isRego))
        return untraced('the bundle holds no Rego, only what was compiled of it');
      if (sizeOf(bundle) + input.length > MOST_SOURCES) {
        return untraced(
          `more than ${MOST_SOURCES} bytes of Rego, data and input are not traced here: \`lemma policy eval --bundle --trace\` does`,
        );
      }
      asked++;
      clearTimeout(idle);
      try {
        const traced = before.then(() => evaluate(bundle, input, mode));
        before = traced.catch(() => undefined);
        return await traced;
      } catch (cause) {
        if (cause instanceof CompilerUnavailable) return untraced(cause.message);
        return untraced(`the evaluator failed: ${cause instanceof Error ? cause.message : String(cause)}`);
      } finally {
        asked--;
        if (asked === 0 && !closed) idle = setTimeout(() => void end(), idleMs).unref();
      }
    },
    async close() {
      closed = true;
      await end();
    },
  };
}

/** What OPA evaluates of a bundle. */
export function evaluatedFiles({ files }: Bundle): Sources {
  const decoder = new TextDecoder();
  return new Map(
    [...files].filter(([path]) => isEvaluated(path)).map(([path, bytes]) => [path, decoder.decode(bytes)]),
  );
}

export function decisionQuery({ entrypoint }: Bundle): string {
  return `data.${entrypoint.replaceAll('/', '.')}`;
}

/** Nothing to be seen, and why. */
export function untraced(error: string): Traced {
  return { evaluator: null, decision: null, lines: [], clauses: null, cut: false, value: undefined, error };
}

type Seen = Answer<Omit<Traced, 'evaluator' | 'decision' | 'error'>>;

async function linesOf(compiler: Compiler, request: ExplainRequest, mode: TraceMode): Promise<Seen> {
  const answer = await compiler.eval({ ...request, trace: mode });
  if (!answer.ok) return answer;
  const { trace, traceCut, value } = answer.result;
  return { ...answer, result: { lines: trace, clauses: null, cut: traceCut, value } };
}

async function clausesOf(compiler: Compiler, request: ExplainRequest): Promise<Seen> {
  const answer = await compiler.explain(request);
  if (!answer.ok) return answer;
  const { rules, cut, value } = answer.result;
  return { ...answer, result: { lines: [], clauses: rules, cut, value } };
}

/** As it is recorded. What is no answer was recorded as none. */
function adaptedAnswer(value: unknown, adapter: Adapter | undefined): unknown {
  if (adapter === undefined) return value;
  try {
    return answerOf([{ result: value }], adapter);
  } catch (cause) {
    if (cause instanceof Denial) return undefined;
    throw cause;
  }
}

function adaptedClause(clause: ClauseTold, adapter: Adapter | undefined): ClauseTold {
  if (adapter === undefined || clause.would === undefined) return clause;
  return { ...clause, would: adaptedAnswer(clause.would, adapter) };
}

function isEvaluated(path: string): boolean {
  return isRego(path) || path === DATA_FILE;
}

function sizeOf({ files }: Bundle): number {
  return [...files].reduce((sum, [path, bytes]) => (isEvaluated(path) ? sum + bytes.length : sum), 0);
}
