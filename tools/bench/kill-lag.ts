import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeProcess } from '../../test/support/node-process.ts';
import { serving } from '../../test/support/serving.ts';
import { atMost, percentile, print } from './measure.ts';

/**
 * How long a kill takes to reach every node: three `lemma pdp` beside one `lemma serve`, each asked without a pause.
 *
 *     npm run bench -- kill-lag [--kills 50]
 */

const { values } = parseArgs({ options: { kills: { type: 'string', default: '50' } } });
const NODES = ['n1', 'n2', 'n3'];

const folder = mkdtempSync(join(tmpdir(), 'lemma-kill-lag-'));
const plane = await serving(folder);
const { body } = await plane.control('/api/wallet/keys');
const pin = (body.keys as { use: string; kid: string }[]).find(({ use }) => use === 'authority')?.kid ?? '';
const nodes = await Promise.all(
  NODES.map((name) =>
    nodeProcess({ folder, name, control: plane.controlBase, token: plane.operatorKey, pin }),
  ),
);

/** From the kill's answer to the end of the last request that was allowed (0: none came later), and as nodes acknowledged it. */
const seen: number[] = [];
const acknowledged: number[] = [];
const whole: number[] = [];
let allowedAfter = 0;
for (let count = 0; count < Number(values.kills); count += 1) {
  const id = `lag-${count}`;
  const agent = await plane.onboard(id);
  for (const node of nodes) while ((await node.ask(agent.reading())).verdict !== 'allow');
  const killed = { sent: Number.POSITIVE_INFINITY, answered: Number.POSITIVE_INFINITY };
  const load = nodes.map(async (node) => {
    for (;;) {
      const asked = performance.now();
      const { verdict } = await node.ask(agent.reading());
      if (verdict === 'allow' && asked > killed.answered) allowedAfter += 1;
      if (verdict === 'allow') continue;
      seen.push(performance.now() - killed.sent);
      return;
    }
  });
  killed.sent = performance.now();
  const answer = await plane.control(`/api/wallet/runtimes/${id}/kill`, {});
  killed.answered = performance.now();
  whole.push(killed.answered - killed.sent);
  for (const { lag_ms } of answer.body.nodes as { lag_ms: number }[]) acknowledged.push(lag_ms);
  await Promise.all(load);
}
await Promise.all(nodes.map((node) => node.end()));
await plane.end('SIGTERM');
rmSync(folder, { recursive: true, force: true });

const shown = (name: string, numbers: readonly number[], note: string) => [
  atMost(`${name}, p50`, percentile(numbers, 50), 'ms', 5, note),
  atMost(`${name}, p99`, percentile(numbers, 99), 'ms', 50),
  { name: `${name}, max`, value: Math.max(...numbers), unit: 'ms' },
];
print([
  {
    title: `Kill lag: ${NODES.length} nodes, ${values.kills} kills under load`,
    figures: [
      ...shown('acknowledged', acknowledged, 'from durable to what the control plane has heard of each node'),
      ...shown('denied', seen, 'from sending the kill to the first denied answer of each node'),
      { name: 'the kill itself, p50', value: percentile(whole, 50), unit: 'ms' },
      atMost('allowed when asked after the answer', allowedAfter, 'requests', 0),
    ],
  },
]);
