import type { Scene } from './console.ts';
import { eventually } from './waiting.ts';

/** Every view of Agent Ops, with something in each. */
export type Views = readonly (readonly [name: string, path: string])[];

/** Fills a service that has none of these yet. */
export async function filledViews(scene: Scene): Promise<Views> {
  const { service } = scene;
  const [reader, writer] = [await service.onboard('reader-1'), await service.onboard('writer-1')];
  for (let n = 0; n < 20; n += 1) {
    await service.grpc(reader.reading());
    await service.grpc(writer.writing());
  }
  for (let n = 0; n < 12; n += 1) await service.grpc({ ...reader.reading(), path: '/v1/nowhere' });
  const unsigned = await service.grpc({ ...writer.reading(), method: 'PUT' });
  await service.control('/api/wallet/runtimes/writer-1/taint', { reason: 'read a page of a stranger' });
  await service.onboard('gone-1');
  await service.control('/api/wallet/runtimes/gone-1/kill', { reason: 'no longer needed' });
  await scene.addOperator('an auditor', 'auditor');
  await service.control('/api/wallet/api-keys', { name: 'ci', permissions: ['decisions.read'] });
  const { sha256 } = await scene.publishCandidate();
  await service.control(`/api/wallet/policies/${sha256}/impact`, {});
  const tests = { 'low/a_test.rego': 'package told_test\n\ntest_wrong if data.lemma.low.told == "a"\n' };
  await service.control(`/api/wallet/policies/${sha256}/tests`, { tests });
  await service.control('/api/wallet/policies/shadow', { bundles: [sha256] });
  await service.grpc(reader.reading());
  await eventually(async () => {
    const { body } = await service.control(`/api/wallet/policies/${sha256}/impact`);
    const shadow = (await service.control('/api/wallet/policies/shadow')).body;
    const { state } = body.impact as { state: string };
    return state === 'done' && (shadow.changes as unknown[]).length > 0;
  });
  return [
    ['overview', ''],
    ['decisions', '/decisions'],
    ['explain', `/decisions/${unsigned.decisionId}`],
    ['alerts', '/alerts'],
    ['runtimes', '/runtimes'],
    ['runtime', '/runtimes/writer-1'],
    ['killed', '/runtimes/gone-1'],
    ['policies', '/policies'],
    ['impact', `/policies/impact?sha256=${sha256}`],
    ['tests', `/policies/tests?sha256=${sha256}`],
    ['legacy', '/legacy'],
    ['connect', '/connect'],
    ['operators', '/operators'],
    ['keys', '/keys'],
    ['sessions', '/sessions'],
    ['audit', '/audit'],
    ['nothing', '/nothing'],
  ];
}
