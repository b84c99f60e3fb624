import { Session } from 'node:inspector';

/** V8's own block coverage of src/, for this thread: no instrumentation, no add-on. */
export interface Coverage {
  /** Whether anything of src/ ran since the last look that never ran before; it is not remembered yet. */
  seen(): boolean;
  /** How many characters of it, now remembered. */
  fresh(): number;
  close(): void;
}

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Report {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly { readonly ranges: readonly Range[] }[];
  }[];
}

export function startCoverage(): Coverage {
  const session = new Session();
  session.connect();
  const post = (method: string, params: object = {}): unknown => {
    let answer: unknown;
    session.post(method, params, (error, value) => {
      if (error !== null) throw error;
      answer = value;
    });
    return answer;
  };
  post('Profiler.enable');
  post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const known = new Map<string, Uint8Array>();
  const look = (remember: boolean): number => {
    const { result } = post('Profiler.takePreciseCoverage') as Report;
    let fresh = 0;
    for (const { url, functions } of result) {
      if (!url.includes('/src/') || url.includes('/node_modules/')) continue;
      for (const { ranges } of functions) fresh += paint(url, ranges, remember);
    }
    return fresh;
  };
  return {
    seen: () => look(false) > 0,
    fresh: () => look(true),
    close: () => session.disconnect(),
  };

  /** Ranges of one function, the outer before the inner: the innermost says whether a place ran. */
  function paint(url: string, ranges: readonly Range[], remember: boolean): number {
    const [whole] = ranges;
    if (whole === undefined || whole.count === 0) return 0;
    const ran = new Uint8Array(whole.endOffset - whole.startOffset);
    for (const { startOffset, endOffset, count } of ranges)
      ran.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset);
    const before = grown(url, whole.endOffset);
    let fresh = 0;
    for (let i = 0; i < ran.length; i++) {
      const at = whole.startOffset + i;
      if (ran[i] === 0 || before[at] === 1) continue;
      if (remember) before[at] = 1;
      fresh += 1;
    }
    return fresh;
  }

  function grown(url: string, length: number): Uint8Array {
    const before = known.get(url);
    if (before !== undefined && before.length >= length) return before;
    const larger = new Uint8Array(Math.max(length, 2 * (before?.length ?? 0)));
    if (before !== undefined) larger.set(before);
    known.set(url, larger);
    return larger;
  }
}
