import { MEMORY_KEY, type RedisLink } from './redis-link.ts';
import type { Shared, SharedAnswer, SharedAsk, SharedLine } from './shared.ts';

/** The ask of one request is one script: Redis runs it alone, so that no two nodes get the last operation, or one nonce. */
export function createRedisShared(link: RedisLink): Shared {
  const counts = { asked: 0, unavailable: 0, leaked: 0, forgotten: 0, uncounted: 0 };
  /** Of a memory that was emptied while the connection stood: only an answer tells. */
  let knownFrom = 0;

  const giveBack = async (keys: readonly string[], from: number) => {
    if (keys.length === 0) return;
    try {
      await link.run({ script: 'giveBack', keys, args: [from] });
    } catch {
      counts.leaked += 1; // a budget may shrink where nobody knows; it never grows
    }
  };

  return {
    async take(ask) {
      counts.asked += 1;
      const counters = ask.lines.map((line) => counterKey(ask, line));
      const { nonce } = ask;
      const call = {
        script: 'take',
        keys: [MEMORY_KEY, nonce === null ? MEMORY_KEY : nonceKey(ask, nonce), ...counters],
        args: [
          ask.now,
          link.runId,
          ...(nonce === null ? ['', 0] : [nonce.created, nonce.keepS * 1000]),
          ...ask.lines.flatMap(({ issued, keepS }) => [issued, keepS * 1000]),
        ],
        late: (reply: unknown) => void takenOf(reply, counters)?.giveBack(),
      } as const;
      const takenOf = (reply: unknown, keys: readonly string[]) => {
        const taken = readTaken(reply, keys.length);
        return taken === null
          ? null
          : { kind: 'taken' as const, used: taken.used, giveBack: () => void giveBack(keys, taken.from) };
      };
      try {
        const reply = await link.run(call);
        const answer = takenOf(reply, counters) ?? readRefusal(reply, ask.lines);
        if (answer.kind === 'forgotten' || answer.kind === 'uncounted') {
          counts[answer.kind] += 1;
          knownFrom = answer.knownFrom;
        }
        return answer;
      } catch (error) {
        counts.unavailable += 1;
        return { kind: 'unavailable', why: error instanceof Error ? error.message : 'unknown error' };
      }
    },
    async count(ask) {
      const keys = [MEMORY_KEY, ...ask.lines.map((line) => counterKey(ask, line))];
      try {
        const args = [ask.now, ...ask.lines.map(({ issued }) => issued)];
        return readCounts(await link.run({ script: 'count', keys, args }), ask.lines.length);
      } catch {
        return null;
      }
    },
    stats: () => ({ up: link.up, ...counts, knownFrom: Math.max(knownFrom, link.knownFrom ?? 0) || null }),
    close: () => link.close(),
  };
}

type Tenant = Pick<SharedAsk, 'org' | 'env'>;

function nonceKey({ org, env }: SharedAsk, { keyid, nonce }: { keyid: string; nonce: string }): string {
  return `lemma:nonce:${org}/${env}:${keyid}:${nonce}`;
}

function counterKey({ org, env }: Tenant, { lemmaId }: Pick<SharedLine, 'lemmaId'>): string {
  return `lemma:used:${org}/${env}:${lemmaId}`;
}

/** `['taken', used…, known_from]`, or null where it is another answer. */
function readTaken(reply: unknown, lines: number): { used: number[]; from: number } | null {
  if (!Array.isArray(reply) || reply[0] !== 'taken') return null;
  const numbers: number[] = reply.slice(1).filter((n) => typeof n === 'number');
  const from = numbers.at(-1);
  if (from === undefined || numbers.length !== lines + 1)
    throw new TypeError('an answer that is none of ours');
  return { used: numbers.slice(0, -1), from };
}

function readCounts(reply: unknown, lines: number): (number | null)[] {
  const numbers = Array.isArray(reply) ? reply.filter((n): n is number => typeof n === 'number') : [];
  if (numbers.length !== lines) throw new TypeError('an answer that is none of ours');
  return numbers.map((used) => (used < 0 ? null : used));
}

function readRefusal(reply: unknown, lines: readonly SharedLine[]): SharedAnswer {
  const [kind, first, second]: unknown[] = Array.isArray(reply) ? reply : [];
  if (kind === 'replayed') return { kind };
  if (kind === 'forgotten' && typeof first === 'number') return { kind, knownFrom: first };
  const line = typeof first === 'number' ? lines[first - 1] : undefined;
  if (kind === 'uncounted' && line !== undefined && typeof second === 'number')
    return { kind, lemmaId: line.lemmaId, knownFrom: second };
  throw new TypeError('an answer that is none of ours');
}
