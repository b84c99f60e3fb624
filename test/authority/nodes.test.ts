import assert from 'node:assert/strict';
import { publicKeyOf, signEd25519 } from '#runtime';
import { LEASE_MS, type Nodes, openNodes } from '../../src/authority/nodes.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import type { Store } from '../../src/store/store.ts';
import { NOW, TENANT, workspace } from '../store/fixture.ts';

const seed = new Uint8Array(32).fill(4);
const key = () => ({
  keyid: thumbprint(publicKeyOf(seed)),
  sign: (bytes: Uint8Array) => toBase64url(signEd25519(bytes, seed)),
});

describe('what a stop waits for', () => {
  let space: ReturnType<typeof workspace>;
  let store: Store;
  let now: number;
  const position = { epoch: 7, seq: 10 };

  beforeEach(async () => {
    space = workspace();
    store = await space.open();
    now = 0;
  });
  afterEach(() => space.end());

  const open = () =>
    openNodes({
      store,
      home: TENANT,
      key,
      position: () => position,
      clock: () => NOW + now,
      steady: () => now,
      collectMs: 5,
    });
  const renew = (nodes: Nodes, seq: number) =>
    nodes.lease({ node: 'edge', nonce: 'n'.repeat(22), epoch: 7, seq, version: '1' });

  it('is nothing where no node holds a lease', async () => {
    assert.deepEqual(await (await open()).spread(position), { enforced: true, nodes: [] });
  });

  it('is each node that holds one, until it says that it has applied it', async () => {
    const nodes = await open();
    await renew(nodes, 9);
    const spread = nodes.spread(position);
    await renew(nodes, 10);
    assert.deepEqual(await spread, { enforced: true, nodes: [{ node: 'edge', lag_ms: 0 }] });
  });

  it('ends, for one that says nothing, with its lease', async () => {
    const nodes = await open();
    await renew(nodes, 9);
    now = 1000;
    const spread = await nodes.spread(position);
    assert.ok(!spread.enforced && spread.enforced_by >= NOW + LEASE_MS, JSON.stringify(spread));
    now = LEASE_MS + 1000;
    assert.equal((await nodes.spread(position)).enforced, true);
  });

  it('knows after a restart that a node may hold a lease', async () => {
    await renew(await open(), 10);
    const spread = await (await open()).spread(position);
    assert.ok(!spread.enforced && spread.enforced_by >= NOW + LEASE_MS, JSON.stringify(spread));
  });
});
