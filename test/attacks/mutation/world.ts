import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pdp } from '../../../src/pdp/decide.ts';
import type { EventType, Runtime, StoreEvent } from '../../../src/store/model.ts';
import { composed, inStore, registration } from '../../pdp/support.ts';
import { bearing, chain, keyNamed, keys, link, NOW, proving, type WireRequest } from '../../support/kit.ts';
import { type Running, running } from '../../support/running.ts';

/** What stands in the state of every world, for operators to meet. */
export const REVOKED_ID = 'lem_AAAAAAAAAAAAAAAAAAAAAA';
export const REVOKED_KEY = keyNamed('revoked holder');
export const SPENT_BUDGET_ID = 'lem_BBBBBBBBBBBBBBBBBBBBBA';
export const SPENT_NONCE = 'a-nonce-that-was-spent-before';
const TAINTED_EPOCH = 2;

const STATES = {
  'bot-1': { status: 'active', taint_epoch: 0 },
  'bot-killed': { status: 'killed', taint_epoch: 0 },
  'bot-inactive': { status: 'inactive', taint_epoch: 0 },
  'bot-tainted': { status: 'active', taint_epoch: TAINTED_EPOCH },
} as const;
type Id = keyof typeof STATES;

/** Requests that spend the nonce, by each key that a PoP of ours may have, and the budget. */
export function spending(): WireRequest[] {
  const [root, delegation, runtime] = chain() as [never, never, never];
  const run = link('run', runtime, keys.runtime, keys.run);
  const budget = { id: SPENT_BUDGET_ID, claims: { budget: { operations: 1 } } };
  return [
    proving([root, delegation, runtime], keys.runtime, { nonce: SPENT_NONCE }),
    proving([root, delegation, runtime, run], keys.run, { nonce: SPENT_NONCE }),
    bearing(chain({ runtime: budget })),
  ];
}

/** The parts of the service in this process, in a folder of their own. */
export async function inProcess(): Promise<{ pdp: Pdp; log: Pdp['log']; close(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-mutation-'));
  const { pdp, log, close } = await composed(folder);
  for (const [runtime_id, state] of Object.entries(STATES)) {
    const runtime = {
      ...registration(runtime_id),
      org: 'acme',
      env: 'prod',
      keys: null,
      registered_at: NOW * 1000,
      ...state,
    };
    pdp.gate.putRuntime(runtime satisfies Runtime);
  }
  pdp.gate.revoke({ org: 'acme', env: 'prod', kind: 'lemma', value: REVOKED_ID });
  pdp.gate.revoke({ org: 'acme', env: 'prod', kind: 'key', value: REVOKED_KEY.id });
  return {
    pdp,
    log,
    async close() {
      await close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A whole service in the same state, asked over its ports. */
export async function overPorts(): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-mutation-'));
  const config = {
    runtimes: (Object.keys(STATES) as Id[]).map((id) => ({ org: 'acme', env: 'prod', ...registration(id) })),
  };
  await (await running({ folder, config })).stop();
  await inStore(folder, async (store) => {
    const events: Pick<StoreEvent, 'type' | 'payload'>[] = [
      { type: 'status', payload: { runtime_id: 'bot-inactive', status: 'inactive' } },
      { type: 'taint', payload: { runtime_id: 'bot-tainted', taint_epoch: TAINTED_EPOCH } },
    ];
    for (const event of events)
      await store.appendEvent({ org: 'acme', env: 'prod', time: NOW * 1000, ...event } as StoreEvent & {
        type: EventType;
      });
  });
  const service = await running({ folder, config });
  await service.control('/api/wallet/runtimes/bot-killed/kill', {});
  await service.control('/api/wallet/runtimes/bot-1/revoke', { lemma_id: REVOKED_ID });
  await service.control('/api/wallet/runtimes/bot-1/revoke', { key: REVOKED_KEY.id });
  return {
    ...service,
    async stop() {
      await service.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
