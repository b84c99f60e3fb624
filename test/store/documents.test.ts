import assert from 'node:assert/strict';
import { StoreConflict } from '../../src/store/errors.ts';
import type { NewDocument } from '../../src/store/model.ts';
import type { Store } from '../../src/store/store.ts';
import { describeStores, NOW, TENANT, type Workspace } from './fixture.ts';

function document(over: Partial<NewDocument> = {}): NewDocument {
  return {
    ...TENANT,
    kind: 'operator',
    id: 'op-1',
    version: 0,
    expires_at: null,
    body: { role: 'owner' },
    ...over,
  };
}

describeStores('documents', (workspace) => {
  let at: Workspace;
  let store: Store;
  let now: number;
  beforeEach(async () => {
    at = workspace();
    now = NOW;
    store = await at.open({ clock: () => now });
  });
  afterEach(() => at.end());

  const moved = (error: unknown) => error instanceof StoreConflict && error.code === 'document_moved';

  it('come back as they were put, with their version', async () => {
    await store.putDocument(document());
    assert.deepEqual(await store.getDocument('operator', 'op-1'), document({ version: 1 }));
  });

  it('outlive the process', async () => {
    await store.putDocument(document());
    await store.close();
    store = await at.open();
    assert.equal((await store.getDocument('operator', 'op-1'))?.version, 1);
  });

  it('of one kind and id are made once', async () => {
    const all = await Promise.allSettled([1, 2, 3].map(() => store.putDocument(document())));
    assert.deepEqual(all.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
  });

  it('are changed only from the version that was read', async () => {
    const version = await store.putDocument(document());
    await store.putDocument(document({ version, body: 1 }));
    await assert.rejects(store.putDocument(document({ version, body: 2 })), moved);
  });

  it('are removed only at the version that was read', async () => {
    await store.putDocument(document());
    await assert.rejects(store.removeDocument({ ...document(), version: 2 }), moved);
    await store.removeDocument({ ...document(), version: 1 });
    assert.equal(await store.getDocument('operator', 'op-1'), null);
  });

  it('are not there from the moment that they expire', async () => {
    await store.putDocument(document({ expires_at: NOW + 5 }));
    now = NOW + 5;
    assert.equal(await store.getDocument('operator', 'op-1'), null);
    assert.deepEqual((await store.listDocuments('operator', TENANT, { limit: 10 })).documents, []);
  });

  it('that expired give way to new ones', async () => {
    await store.putDocument(document({ expires_at: NOW + 5 }));
    now = NOW + 5;
    assert.equal(await store.putDocument(document()), 1);
  });

  it('are listed by kind and tenant, page by page', async () => {
    for (const id of ['c', 'a', 'b']) await store.putDocument(document({ id }));
    await store.putDocument(document({ id: 'd', org: 'other' }));
    await store.putDocument(document({ id: 'e', kind: 'session' }));
    const first = await store.listDocuments('operator', TENANT, { limit: 2 });
    const second = await store.listDocuments('operator', TENANT, {
      limit: 2,
      cursor: first.next_cursor ?? '',
    });
    assert.deepEqual(
      [first, second].map(({ documents }) => documents.map(({ id }) => id)),
      [['a', 'b'], ['c']],
    );
  });
});
