import type { ReasonCode } from '../../src/reason.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { bearing, chain, keyNamed, keys, link, proving, type WireRequest } from '../support/kit.ts';

/** An attack that something must come before: requests that are allowed, then perhaps an operator's verb. */
export interface Play {
  readonly name: string;
  readonly expect: ReasonCode;
  readonly first: readonly WireRequest[];
  readonly verb?: { readonly path: string; readonly body: object };
  readonly last: WireRequest;
}

/** Many requests at once, of which exactly so many may pass. */
export interface Race {
  readonly name: string;
  /** What the others end with. */
  readonly expect: ReasonCode;
  readonly pass: number;
  readonly atOnce: readonly WireRequest[];
}

const of = (runtime_id: string, more: object = {}) => chain({ runtime: { claims: { runtime_id, ...more } } });
const verb = (runtime: string, name: string, body: object = {}) => ({
  path: `/api/wallet/runtimes/${runtime}/${name}`,
  body,
});

export function plays(): Play[] {
  const reading = (links: readonly Lemma[]) => proving(links, keys.runtime);
  const writing = (links: readonly Lemma[]) => proving(links, keys.runtime, { method: 'PUT', text: '{}' });
  const once = reading(chain());
  const nonce = 'one-nonce-for-two-chains';
  const [revocable, rekeyed] = [
    of('to-revoke'),
    chain({ runtime: { claims: { runtime_id: 'to-rekey' } } }, { runtime: keyNamed('taken') }),
  ];
  const tainted = of('to-taint');
  const spent = of('to-spend', { budget: { operations: 2 } });
  return [
    { name: 'one PoP twice', expect: 'replay_detected', first: [once], last: once },
    {
      name: 'one nonce in a new chain of the same key',
      expect: 'replay_detected',
      first: [proving(chain(), keys.runtime, { nonce })],
      last: proving(chain(), keys.runtime, { nonce, path: '/v1/documents/43' }),
    },
    {
      name: 'the next request after a kill',
      expect: 'runtime_killed',
      first: [bearing(of('to-kill'))],
      verb: verb('to-kill', 'kill'),
      last: bearing(of('to-kill')),
    },
    {
      name: 'a link that was revoked',
      expect: 'revoked',
      first: [bearing(revocable)],
      verb: verb('to-revoke', 'revoke', { lemma_id: revocable[1]?.id }),
      last: bearing(revocable),
    },
    {
      name: "a holder's key that was revoked",
      expect: 'revoked',
      first: [bearing(rekeyed)],
      verb: verb('to-rekey', 'revoke', { key: keyNamed('taken').id }),
      last: bearing(rekeyed),
    },
    {
      name: 'a write with the epoch from before a tainting answer',
      expect: 'taint_stale',
      first: [writing(tainted), bearing(tainted, { path: '/v1/pages/1' })],
      last: writing(tainted),
    },
    {
      name: 'one more than the budget',
      expect: 'budget_exhausted',
      first: [bearing(spent), bearing(spent)],
      last: bearing(spent),
    },
  ];
}

export function races(): Race[] {
  const once = proving(chain(), keys.runtime);
  const [root, delegation, runtime] = of('to-race') as [Lemma, Lemma, Lemma];
  const run = link('run', runtime, keys.runtime, keys.run, {
    claims: { run_id: 'raced', budget: { operations: 5 } },
  });
  const links = [root, delegation, runtime, run];
  return [
    {
      name: 'one nonce eight times at once',
      expect: 'replay_detected',
      pass: 1,
      atOnce: Array.from({ length: 8 }, () => once),
    },
    {
      name: 'fifteen at once against a budget of five',
      expect: 'budget_exhausted',
      pass: 5,
      atOnce: Array.from({ length: 15 }, () => bearing(links)),
    },
  ];
}
