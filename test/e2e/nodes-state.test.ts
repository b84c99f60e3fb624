import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { credentialOf, encodeCredential, issueRun, linksOf } from '../../src/proof/issue.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import type { CredentialJson } from '../../src/schema/lemma.ts';
import { lemma } from '../cli/lemma.ts';
import { databaseOf } from '../pdp/support.ts';
import { keyNamed, ORIGIN, request, type WireRequest } from '../support/kit.ts';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { authorityPin, SERVED_ROUTES, type Serving, servedConfig, serving } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';

const [READ] = SERVED_ROUTES;
const ROUTES = [
  ...SERVED_ROUTES,
  { ...READ, id: 'pages.read', path: '/v1/pages/{id}', taint_on_response: true },
  { ...READ, id: 'documents.remove', methods: ['DELETE'], risk: 'critical' },
];

describe('state of the control plane at two nodes', function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'lemma-state-'));
  // A fixed port: a control plane that starts again is found where it was.
  const control = `127.0.0.1:${20_000 + ((process.pid + 13) % 20_000)}`;
  let plane: Serving;
  let nodes: NodeProcess[] = [];
  let one: NodeProcess;
  let other: NodeProcess;
  let wishes: { control: string; token: string; pin: string };

  before(async () => {
    const listen = { grpc: '127.0.0.1:0', decision: '127.0.0.1:0', control };
    writeFileSync(join(folder, 'lemma.yaml'), stringify({ ...servedConfig(), listen, routes: ROUTES }));
    plane = await serving(folder);
    wishes = { control: plane.controlBase, token: plane.operatorKey, pin: await authorityPin(plane) };
    const started = (name: string) => nodeProcess({ ...wishes, folder, name, config: { routes: ROUTES } });
    [one, other] = await Promise.all([started('one'), started('other')]);
    nodes = [one, other];
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.end()));
    await plane?.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  });

  const verdict = async (node: NodeProcess, asked: WireRequest) => (await node.ask(asked)).verdict;
  const comesToBe = (node: NodeProcess, asked: () => WireRequest, wanted: string) =>
    eventually(async () => (await verdict(node, asked())) === wanted);

  /** A run of a new runtime, which alone may do what is critical. */
  async function removing(runtime_id: string): Promise<() => WireRequest> {
    const [key, run] = [keyNamed(runtime_id), keyNamed(`${runtime_id}-run`)];
    await plane.control('/api/wallet/runtimes/bootstrap', {
      runtime_id,
      agent_id: 'bot',
      workspace_id: 'prod',
    });
    const { body } = await plane.control('/api/wallet/runtimes/issue-proof', {
      ...{ runtime_id, key: toBase64url(key.public), scope: ['documents.*'], audience: [ORIGIN], ttl_s: 600 },
    });
    const credential = body.credential as CredentialJson;
    const { scope, audience, issued_at } = credential;
    const claims = { run_id: 'run-1', budget: { operations: 1000 } };
    const terms = { key: run.public, scope, audience, issued_at, expires_at: issued_at + 600 };
    const links = linksOf(credential);
    const leaf = links.at(-1);
    assert.ok(leaf !== undefined);
    const proof = encodeCredential(credentialOf([...links, issueRun(leaf, key.seed, claims, terms)]));
    return () => {
      const plain = request({ method: 'DELETE' });
      const url = `${plain.scheme}://${plain.host}${plain.path}`;
      const created = Math.floor(Date.now() / 1000);
      const headers = signPop({ method: 'DELETE', url, proof, seed: run.seed, created });
      return { ...plain, headers: [...Object.entries(headers), ['content-length', '0']] };
    };
  }

  it('is fresh at a node that starts while nothing happens', async () => {
    const agent = await plane.onboard('quiet');
    for (const node of nodes) await comesToBe(node, agent.reading, 'allow');
    const late = await nodeProcess({ ...wishes, folder, name: 'late', config: { routes: ROUTES } });
    nodes.push(late);
    assert.equal(await verdict(late, agent.reading()), 'allow');
    await late.end();
    nodes.pop();
    assert.deepEqual(
      late.notes.filter((note) => note.includes('lost')),
      [],
    );
  });

  it('is asked for anew by what is critical, and what is not confirmed is denied', async () => {
    const remove = await removing('remover');
    const low = await plane.onboard('reader');
    await comesToBe(one, remove, 'allow');
    await comesToBe(one, low.reading, 'allow');
    const { decisionId, verdict: first } = await one.ask(remove());
    assert.equal(first, 'allow');
    plane.signal('SIGSTOP');
    try {
      assert.equal(await verdict(one, remove()), 'freshness_stale');
      // What was known a moment ago is good enough for less.
      assert.equal(await verdict(one, low.reading()), 'allow');
    } finally {
      plane.signal('SIGCONT');
    }
    await comesToBe(one, remove, 'allow');
    const recorded = async () =>
      (await plane.exported()).map((line) => JSON.parse(line)).find((it) => it.decision_id === decisionId);
    await eventually(async () => (await recorded()) !== undefined);
    const { source, confirmed } = (await recorded()).input.freshness;
    assert.deepEqual([source, confirmed], ['lease', true]);
  });

  it('has, for the second node, the taint that the first one raised', async () => {
    const agent = await plane.onboard('tainted');
    for (const node of nodes) await comesToBe(node, () => agent.writing(), 'allow');
    const page = { ...agent.reading(), path: '/v1/pages/1' };
    assert.equal(await verdict(one, page), 'allow');
    assert.equal(await verdict(one, agent.writing()), 'taint_stale');
    await comesToBe(other, () => agent.writing(), 'taint_stale');
  });

  it('that comes back from a backup counts nothing that was issued before, and revives nobody', async () => {
    const before = await plane.onboard('before');
    const killed = await plane.onboard('killed-later');
    for (const node of nodes) await comesToBe(node, killed.reading, 'allow');
    const { code, err } = await lemma(folder, ['backup', 'store.backup', '--api-base', plane.controlBase]);
    assert.equal(code, 0, err);
    const { body } = await plane.control('/api/wallet/runtimes/killed-later/kill', {});
    assert.equal(body.enforced, true);
    await plane.end('SIGTERM');
    for (const end of ['', '-wal', '-shm']) rmSync(databaseOf(folder) + end, { force: true });
    const restored = await lemma(folder, ['restore', 'store.backup']);
    assert.equal(restored.code, 0, restored.err);
    plane = await serving(folder);
    for (const node of nodes) {
      await comesToBe(node, before.reading, 'revoked');
      // The backup does not know of the kill; the node does.
      assert.equal(await verdict(node, killed.reading()), 'runtime_killed');
      // In the second of the restoration nothing that is issued counts.
      await eventually(
        async () => (await verdict(node, (await plane.onboard('before')).reading())) === 'allow',
      );
    }
  });

  it('is followed after that: a kill is enforced at both', async () => {
    const agent = await plane.onboard('after');
    for (const node of nodes) await comesToBe(node, agent.reading, 'allow');
    const { body } = await plane.control('/api/wallet/runtimes/after/kill', {});
    assert.equal(body.enforced, true);
    for (const node of nodes) assert.equal(await verdict(node, agent.reading()), 'runtime_killed');
  });
});
