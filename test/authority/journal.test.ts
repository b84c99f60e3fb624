import assert from 'node:assert/strict';
import { signEd25519 } from '#runtime';
import { createJournal } from '../../src/authority/journal.ts';
import { Refusal } from '../../src/authority/refusal.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import type { Store } from '../../src/store/store.ts';
import { newRecord, TENANT, workspace } from '../store/fixture.ts';

const seed = new Uint8Array(32).fill(3);
const key = () => ({ keyid: 'k', sign: (bytes: Uint8Array) => toBase64url(signEd25519(bytes, seed)) });
const [ONE, TWO] = ['A'.repeat(22), 'B'.repeat(22)];
const idOf = (index: number) => `dec_${String(index).padStart(21, '0')}A`;

describe('the journal of a node', () => {
  let here: ReturnType<typeof workspace>;
  let there: ReturnType<typeof workspace>;
  let store: Store;
  let lines: string[];

  beforeEach(async () => {
    here = workspace();
    there = workspace();
    store = await here.open();
    const node = await there.open();
    const member = (index: number) => {
      const record = newRecord(idOf(index));
      const { decision_id, time, org, env, verdict, reason } = record;
      const body = { decision_id, time, node: 'edge', org, env, verdict, reason, actor: null, route: null };
      return { ...record, members: JSON.stringify(body).slice(1, -1) };
    };
    await node.commitRecords({ node: 'edge', lost: 0, records: [1, 2].map(member) });
    await node.commitRecords({ node: 'edge', lost: 4, records: [3].map(member) });
    lines = (await node.streamRecords('any', 0, 10)).records.map(({ line }) => line);
  });
  afterEach(async () => {
    await here.end();
    await there.end();
  });

  const journal = () =>
    createJournal({ store, home: TENANT, chains: [], own: 'control', key, clock: () => 1 });
  const kept = async () => (await store.streamRecords('any', 0, 10)).records.map(({ line }) => line);
  const code = (wanted: string) => (error: unknown) => error instanceof Refusal && error.code === wanted;

  it('is kept byte for byte, and acknowledged up to its end', async () => {
    const { chain, pruning } = await journal().take('edge', ONE, lines);
    assert.deepEqual(await kept(), lines);
    assert.deepEqual([chain, pruning?.seq], ['edge', 3]);
  });

  it('changes nothing when it comes again', async () => {
    const one = journal();
    await one.take('edge', ONE, lines.slice(0, 2));
    await one.take('edge', ONE, lines);
    assert.deepEqual(await kept(), lines);
  });

  it('is refused where a record was changed', async () => {
    const changed = [lines[0]?.replace('"verdict":"allow"', '"verdict":"deny"') ?? ''];
    assert.notEqual(changed[0], lines[0]);
    await assert.rejects(journal().take('edge', ONE, changed), code('invalid_request'));
    assert.deepEqual(await kept(), []);
  });

  it('is refused where a record is missing', async () => {
    await assert.rejects(journal().take('edge', ONE, lines.slice(1)), code('conflict'));
  });

  it("is refused under another node's name, and under the control plane's own", async () => {
    await assert.rejects(journal().take('other', ONE, lines), code('invalid_request'));
    await assert.rejects(journal().take('control', ONE, lines), code('conflict'));
  });

  it('of a second database with one name has a name of its own, also after a restart', async () => {
    await journal().take('edge', ONE, lines);
    const { chain } = await journal().take('edge', TWO, []);
    assert.match(chain, /^edge\.[0-9a-f]{12}$/);
    assert.equal((await journal().take('edge', TWO, [])).chain, chain);
    assert.equal((await journal().take('edge', ONE, [])).chain, 'edge');
    await assert.rejects(journal().take('edge', TWO, lines), code('invalid_request'));
    assert.deepEqual(await kept(), lines);
  });
});
