import { type AnswerBounds, type Op, type RawAnswer, tooLarge } from './protocol.ts';

/** An answer within the bounds: its trace cut (`trace_cut`), or `answer_too_large` in its place. */
export function boundAnswer(answer: RawAnswer, op: Op, bounds: AnswerBounds): RawAnswer {
  const cut = isTraced(answer.result) ? { ...answer, result: cutTrace(answer.result, bounds) } : answer;
  return Buffer.byteLength(JSON.stringify(cut)) > bounds.bytes ? tooLarge(op, bounds) : cut;
}

interface Traced {
  readonly trace: readonly string[];
  readonly trace_cut?: boolean;
}

function isTraced(result: unknown): result is Traced {
  return typeof result === 'object' && result !== null && 'trace' in result && Array.isArray(result.trace);
}

function cutTrace(result: Traced, { traceLines, lineLength }: AnswerBounds): Traced {
  const trace = result.trace
    .slice(0, traceLines)
    .map((line) => (line.length > lineLength ? `${line.slice(0, lineLength)}…` : line));
  return { ...result, trace, trace_cut: result.trace_cut === true || result.trace.length > traceLines };
}
