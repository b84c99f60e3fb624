import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from '../../src/policy/bundle.ts';
import { told } from '../pdp/support.ts';
import { republished } from '../policy/support.ts';
import type { NodeProcess } from '../support/node-process.ts';
import { type Agent, type Serving, serving } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';
import { nodesBeside, published } from './policy-travel.ts';

const POLICIES = '/api/wallet/policies';
const NODES = ['n1', 'n2'];

/** The candidate is told what to say by the query, which these requests have not: it fails, where the default allows. */
describe('a policy on its way to decision nodes', function () {
  this.timeout(240_000);
  let folder: string;
  let plane: Serving;
  let nodes: NodeProcess[] = [];
  let agent: Agent;
  let candidate: Bundle;

  const verdicts = async () =>
    Promise.all(nodes.map(async (node) => (await node.ask(agent.reading())).verdict));
  const all = (verdict: string) =>
    eventually(async () => (await verdicts()).every((found) => found === verdict));

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-nodes-policies-'));
    plane = await serving(folder);
    agent = await plane.onboard('bot');
    candidate = await published(plane, republished(told, 100, 'low-100'));
    nodes = await nodesBeside(plane, NODES);
    await all('allow');
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.end()));
    await plane.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  });

  it('is a shadow of what they decide first, and changes no answer', async () => {
    await plane.control(`${POLICIES}/shadow`, { bundles: [candidate.sha256] });
    assert.deepEqual(await verdicts(), ['allow', 'allow']);
    await eventually(async () => {
      const { body } = await plane.control(`${POLICIES}/shadow`);
      return (body.counts as { error: number }).error >= NODES.length;
    });
    assert.deepEqual(await verdicts(), ['allow', 'allow']);
  });

  it('comes into force on every node, and is taken back on every one', async () => {
    await plane.control(`${POLICIES}/activate`, { bundles: [candidate.sha256] });
    await all('policy_error');
    const { status } = await plane.control(`${POLICIES}/rollback`, { profile: 'low' });
    assert.equal(status, 200);
    await all('allow');
  });

  it('leaves decisions that explain equal, each with the bundle that made it', async () => {
    await eventually(async () => {
      const lines = await plane.exported();
      return lines.some((line) => line.includes('"reason":"policy_error"') && line.includes('"node":"n1"'));
    });
    const ids = (await plane.exported()).map(
      (line) => (JSON.parse(line) as { decision_id: string }).decision_id,
    );
    for (const id of ids) {
      const { body } = await plane.control(`/api/wallet/runtimes/decisions/${id}/explain`);
      const { evaluated_again } = body.explanation as { evaluated_again: { equal: boolean } | null };
      assert.notEqual(evaluated_again?.equal, false, id);
    }
  });
});
