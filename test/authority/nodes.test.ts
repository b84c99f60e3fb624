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
  const [one, two] = ['A'.repeat(22), 'B'.repeat(22)];
  const renew = (nodes: Nodes, seq: number, instance = one) =>
    nodes.lease({ node: 'edge', instance, nonce: 'n'.repeat(22), epoch: 7, seq, version: '1' });

  it('is nothing where no node holds a lease', async () => {
    assert.deepEqual(await (await open()).spread(position), { enforced: true, nodes: [] });
  });

  it('is each node that holds one, until it says that it has applied it', async () => {
    const nodes = await open();
    await renew(nodes, 9);
    const spread = nodes.spread(position);
    await renew(nodes, 10);
    assert.deepEqual(await spread, { enforced: true, nodes: [{ node: 'edge', instance: one, lag_ms: 0 }] });
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

  it('is each process of a name by itself, as long as its lease holds', async () => {
    const nodes = await open();
    await renew(nodes, 9, one);
    now = 1000;
    await renew(nodes, 10, two);
    const spread = await nodes.spread(position);
    assert.ok(!spread.enforced && spread.enforced_by === NOW + LEASE_MS + 300, JSON.stringify(spread));
    assert.deepEqual(spread.nodes, [{ node: 'edge', instance: two, lag_ms: 0 }]);
    assert.deepEqual(spread.waiting, [{ node: 'edge', instance: one }]);
    await renew(nodes, 10, one);
    assert.equal((await nodes.spread(position)).enforced, true);
  });

  it('names a duplicate only where both go on', async () => {
    const nodes = await open();
    const duplicates = () => nodes.list().map(({ duplicate }) => duplicate);
    await renew(nodes, 10, one);
    now = 1000;
    await renew(nodes, 10, two);
    now = 2000;
    await renew(nodes, 10, two);
    assert.deepEqual(duplicates(), [false, false]);
    await renew(nodes, 10, one);
    assert.deepEqual(duplicates(), [true, true]);
    now += LEASE_MS + 1000;
    await renew(nodes, 10, two);
    assert.deepEqual(duplicates(), [false, false]);
  });

  it('is no process that has left, also after a restart, and it gets no other lease', async () => {
    const nodes = await open();
    await renew(nodes, 9);
    await nodes.leave({ node: 'edge', instance: one });
    await assert.rejects(renew(nodes, 9), { code: 'conflict' });
    assert.equal((await nodes.spread(position)).enforced, true);
    const again = await open();
    assert.equal((await again.spread(position)).enforced, true);
    await assert.rejects(renew(again, 9), { code: 'conflict' });
    // Its name is known all the same: one without a memory has lost it.
    assert.deepEqual(
      again.list().map(({ node }) => node),
      ['edge'],
    );
  });

  it('is listed with the policies that each says to decide by, and whether it has left', async () => {
    const nodes = await open();
    const bundles = ['a'.repeat(64)];
    await nodes.lease({
      ...{ node: 'edge', instance: one, nonce: 'n'.repeat(22), epoch: 7, seq: 10 },
      version: '1',
      bundles,
    });
    await renew(nodes, 10, two);
    await nodes.leave({ node: 'edge', instance: two });
    assert.deepEqual(
      nodes.list().map((node) => [node.bundles, node.left, node.leased_for_ms > 0]),
      [
        [bundles, false, true],
        [null, true, false],
      ],
    );
  });

  it('is also one whose first question is under way while another of its name is answered', async () => {
    const nodes = await open();
    await renew(nodes, 10, one);
    const asked = renew(nodes, 9, two);
    await renew(nodes, 10, one);
    await asked;
    assert.equal((await nodes.spread(position)).enforced, false);
  });

  it('forgets a process that ended before the next one of its name', async () => {
    const nodes = await open();
    await renew(nodes, 10, one);
    now = LEASE_MS + 70_000;
    await renew(nodes, 10, two);
    const kept = async () =>
      (await store.listDocuments('node', TENANT, { limit: 9 })).documents.map(({ id }) => id);
    while ((await kept()).length > 1) await new Promise(setImmediate);
    assert.deepEqual(await kept(), [`edge ${two}`]);
  });
});
