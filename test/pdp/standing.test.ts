import assert from 'node:assert/strict';
import { standing } from '../../src/pdp/standing.ts';
import type { VerifiedChain } from '../../src/proof/chain.ts';
import { loaded, runtime, verified } from '../gate/support.ts';
import { NOW } from '../support/kit.ts';

const END = NOW + 600;
const HOME = { org: 'acme', env: 'prod' };

describe('what was allowed', () => {
  const allowed = () => verified({ run: { expires_at: END } });
  const at =
    (seconds: number, gate = loaded()) =>
    (chain: VerifiedChain) =>
      standing(chain, { gate, clock: () => seconds * 1000 });

  it('stands while nothing comes over it', () => {
    assert.equal(at(NOW)(allowed()), null);
  });

  it('ends with the first of its links, to the second', () => {
    assert.deepEqual([at(END - 0.001)(allowed()), at(END)(allowed())], [null, 'proof_expired']);
  });

  it('ends with the token that vouches for it, to the second', () => {
    const chain = { ...allowed(), token: { id: 't', issuer: 'i', expires_at: NOW + 60 } } as VerifiedChain;
    assert.deepEqual([at(NOW + 59.999)(chain), at(NOW + 60)(chain)], [null, 'token_expired']);
  });

  it('ends with a kill', () => {
    const gate = loaded({ runtimes: [{ ...runtime, status: 'killed' }] });
    assert.equal(at(NOW, gate)(allowed()), 'runtime_killed');
  });

  it('ends with a revocation', () => {
    const chain = allowed();
    const gate = loaded();
    gate.revoke({ ...HOME, kind: 'lemma', value: chain.leaf.id });
    assert.equal(at(NOW, gate)(chain), 'revoked');
  });

  it('ends where its runtime is not known any more', () => {
    assert.equal(at(NOW, loaded({ runtimes: [] }))(allowed()), 'runtime_unknown');
  });

  it('ends with containment', () => {
    const gate = loaded({ runtimes: [{ ...runtime, status: 'inactive' }] });
    assert.equal(at(NOW, gate)(allowed()), 'runtime_inactive');
  });

  it('ends with a taint that it does not know of, and only with that', () => {
    const gate = loaded({ runtimes: [{ ...runtime, taint_epoch: 2 }] });
    const knowing = (taint_epoch: number) => verified({ runtime: { claims: { taint_epoch } } });
    assert.deepEqual(
      [1, 2, 3].map((epoch) => at(NOW, gate)(knowing(epoch))),
      ['taint_stale', null, null],
    );
  });
});
