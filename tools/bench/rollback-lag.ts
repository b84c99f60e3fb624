import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodesBeside, published } from '../../test/e2e/policy-travel.ts';
import { told } from '../../test/pdp/support.ts';
import { republished } from '../../test/policy/support.ts';
import { serving } from '../../test/support/serving.ts';
import { atMost, percentile, print } from './measure.ts';

/**
 * How long a rollback takes to decide on every node: three `lemma pdp` beside one `lemma serve`, each asked without a pause.
 * The policy that is taken back fails where the default allows.
 *
 *     npm run bench -- rollback-lag [--rollbacks 20]
 */

const { values } = parseArgs({ options: { rollbacks: { type: 'string', default: '20' } } });
const NODES = ['n1', 'n2', 'n3'];
const POLICIES = '/api/wallet/policies';
const LAG_MS = 1000;

const folder = mkdtempSync(join(tmpdir(), 'lemma-rollback-lag-'));
const plane = await serving(folder);
const { body: kept } = await plane.control(`${POLICIES}/history?profile=low`);
const first = (kept.bundles as { sha256: string; active: boolean }[]).find(({ active }) => active)?.sha256;
const agent = await plane.onboard('bot');
const nodes = await nodesBeside(plane, NODES);
/** From sending the rollback to its answer; to the first answer of each node by the earlier policy. */
const answered: number[] = [];
const seen: number[] = [];
try {
  for (let count = 0; count < Number(values.rollbacks); count += 1) {
    const serial = 100 + count;
    const { sha256 } = await published(plane, republished(told, serial, `low-${serial}`));
    await plane.control(`${POLICIES}/activate`, { bundles: [sha256] });
    await Promise.all(nodes.map((node) => until(node, 'policy_error')));
    const sent = performance.now();
    const back = plane.control(`${POLICIES}/rollback`, { profile: 'low', to: first });
    const load = nodes.map(async (node) => {
      await until(node, 'allow');
      seen.push(performance.now() - sent);
    });
    const { status, body } = await back;
    if (status !== 200) throw new Error(JSON.stringify(body));
    answered.push(performance.now() - sent);
    await Promise.all(load);
  }
} finally {
  await Promise.all(nodes.map((node) => node.end()));
  await plane.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
}

print([
  {
    title: `Rollback lag: ${NODES.length} nodes, ${values.rollbacks} rollbacks under load`,
    figures: [
      { name: 'answered, p50', value: percentile(answered, 50), unit: 'ms' },
      atMost('decides on a node, p50', percentile(seen, 50), 'ms', LAG_MS),
      atMost('decides on a node, max', Math.max(...seen), 'ms', LAG_MS, 'from sending the rollback'),
    ],
  },
]);

async function until(node: (typeof nodes)[number], verdict: string): Promise<void> {
  while ((await node.ask(agent.reading())).verdict !== verdict);
}
