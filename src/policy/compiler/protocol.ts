import { type Overrun, patienceMs } from './time-limit.ts';

/** Of the artefact; bundles are byte for byte those of this version. */
export const OPA_VERSION = '1.22.2';

/** What goes over the border to OPA's code (tools/compiler/request.go), and what comes back. */
export interface RawRequest {
  readonly op: Op;
  readonly files?: { readonly [path: string]: string };
  readonly paths?: readonly string[];
  readonly capabilities?: Capabilities | null;
  readonly schema?: object;
  readonly strict?: boolean;
  readonly tests?: readonly string[];
  readonly entrypoints?: readonly string[];
  readonly revision?: string;
  readonly coverage?: boolean;
  readonly run?: string;
  readonly query?: string;
  readonly input?: string;
  readonly trace?: TraceMode;
  readonly strict_builtin_errors?: boolean;
}

export type Op =
  | 'version'
  | 'capabilities'
  | 'check'
  | 'fmt'
  | 'build'
  | 'test'
  | 'eval'
  | 'explain'
  | 'review';
export type TraceMode = 'notes' | 'fails' | 'full' | 'debug';

/** OPA's own document: what a policy may call, and which features of the language it may use. */
export interface Capabilities {
  readonly builtins: readonly { readonly name: string }[];
  readonly features?: readonly string[];
}

export interface RawProblem {
  readonly code: string;
  readonly message: string;
  readonly file: string;
  readonly row: number;
  readonly col: number;
  readonly details: readonly string[];
}

export interface RawAnswer {
  readonly ok: boolean;
  readonly errors: readonly RawProblem[];
  readonly result?: unknown;
}

/**
 * What whoever asks can take. A trace is cut to it, and any other answer refused, where OPA runs: so that a policy
 * cannot flood the process that asks.
 */
export interface AnswerBounds {
  readonly traceLines: number;
  /** Characters. */
  readonly lineLength: number;
  /** Of the whole answer, its trace cut. */
  readonly bytes: number;
}

/** OPA, wherever it runs. Calls may overlap; each is answered, also one that runs away. */
export interface OpaHost {
  readonly kind: 'wasm' | 'native';
  /** Of OPA, e.g. `1.22.2`. */
  readonly version: string;
  ask(request: RawRequest, timeLimitMs: number, bounds?: AnswerBounds): Promise<RawAnswer>;
  close(): Promise<void>;
}

/** Between the process that asks and the one in which the module runs. */
export interface HostCall {
  readonly id: number;
  readonly request: string;
  readonly timeLimitMs: number;
  readonly bounds?: AnswerBounds;
}

export type HostReply =
  | { readonly id: number; readonly answer: string }
  | { readonly id: number; readonly timedOut: Overrun }
  | { readonly id: number; readonly problem: string };

export type WorkerReply = { readonly answer: string } | { readonly problem: string };

export function failed(code: string, message: string): RawAnswer {
  return { ok: false, errors: [{ code, message, file: '', row: 0, col: 0, details: [] }] };
}

const WORK = {
  version: 'the compiler',
  capabilities: 'the compiler',
  check: 'the check',
  fmt: 'formatting',
  build: 'the build',
  test: 'the tests',
  eval: 'evaluation',
  explain: 'evaluation',
  review: 'the check',
} as const satisfies Record<Op, string>;

/** @param overrun null: processor time was not counted, and the limit is one by the clock */
export function timedOut(op: Op, timeLimitMs: number, overrun: Overrun | null): RawAnswer {
  if (overrun === 'wait') {
    const waited = patienceMs(timeLimitMs) / 1000;
    const message = `${WORK[op]} did not end within ${waited} s: the machine gave it less than ${timeLimitMs / 1000} s of processor time; try again, or raise the limit`;
    return failed('time_limit', message);
  }
  const cause =
    op === 'test' || op === 'eval' || op === 'explain'
      ? 'look for an endless comprehension, a huge range or a recursion through walk'
      : 'give fewer or smaller files';
  return failed(
    'time_limit',
    `${WORK[op]} did not end within ${timeLimitMs / 1000} s${overrun === 'work' ? ' of processor time' : ''}: ${cause}, or raise the limit`,
  );
}

export function tooLarge(op: Op, { bytes }: AnswerBounds): RawAnswer {
  return failed('answer_too_large', `${WORK[op]} gave more than ${bytes} bytes`);
}

export function broken(op: Op, problem: string): RawAnswer {
  return failed('compiler_failed', `${WORK[op]} broke off: ${problem}`);
}
