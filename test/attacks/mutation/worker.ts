import { deepEqual, equal } from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { ask, type Case, mutantOf, problemOf } from './judge.ts';
import { inProcess, spending } from './world.ts';

/** A case, and what is wrong with its answer. */
export interface Wrong {
  readonly one: Case;
  readonly problem: string;
}

/** What came of many cases in one world: how often each operator was applied, and each verdict given. */
export interface Judged {
  readonly wrong: readonly Wrong[];
  readonly operators: ReadonlyMap<string, number>;
  readonly codes: ReadonlyMap<string, number>;
}

/** Requests under way at once. */
const AT_ONCE = 250;

/** Asks all of them, in a world of their own. Throws where an answer has no record, or another one. */
async function judge(all: readonly Case[]): Promise<Judged> {
  const world = await inProcess();
  const kept = new Map<string, string>();
  world.log.onRecord(({ decision_id, verdict, reason }) =>
    kept.set(decision_id, verdict === 'allow' ? 'allow' : reason),
  );
  const wrong: Wrong[] = [];
  const [given, operators, codes] = [
    new Map<string, string>(),
    new Map<string, number>(),
    new Map<string, number>(),
  ];
  const add = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
  try {
    for (const wire of spending()) equal((await ask(world.pdp, wire)).verdict, 'allow');
    for (let from = 0; from < all.length; from += AT_ONCE) {
      await Promise.all(
        all.slice(from, from + AT_ONCE).map(async (one) => {
          const mutant = mutantOf(one);
          const answer = await ask(world.pdp, mutant.wire);
          add(codes, answer.verdict);
          for (const { name } of mutant.applied) add(operators, name);
          const problem = given.has(answer.decisionId) ? 'a decision id twice' : problemOf(mutant, answer);
          given.set(answer.decisionId, answer.verdict);
          if (problem !== null) wrong.push({ one, problem });
        }),
      );
      await world.log.settled();
    }
    const unrecorded = [...given].filter(([id, verdict]) => kept.get(id) !== verdict);
    deepEqual(unrecorded, [], 'each answer has its record, with its verdict');
    equal(world.log.stats().lost, 0);
  } finally {
    await world.close();
  }
  return { wrong, operators, codes };
}

parentPort?.on('message', (all: readonly Case[]) => {
  judge(all).then(
    (judged) => parentPort?.postMessage(judged),
    (error: unknown) => parentPort?.postMessage(error),
  );
});
