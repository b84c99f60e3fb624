import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publicKeyOf, randomBytes, signEd25519 } from '#runtime';
import { loadConfig } from '../../src/config/load.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { type DecisionLog, openLog } from '../../src/decision-log/log.ts';
import { createGate, type Gate } from '../../src/gate/gate.ts';
import type { Pdp } from '../../src/pdp/decide.ts';
import { settingsOf } from '../../src/pdp/settings.ts';
import { storeArchive } from '../../src/policy/archive.ts';
import { EMBEDDED_TRUST, loadEmbedded } from '../../src/policy/embedded.ts';
import { PolicyRegistry } from '../../src/policy/registry.ts';
import { type ChainCache, createChainCache } from '../../src/proof/cache.ts';
import { openStore } from '../../src/store/store.ts';
import type { World } from './world.ts';

/** What a decision is made with, put together as the service does it: a real store, gate, registry and log. */
export interface Parts {
  readonly pdp: Pdp;
  readonly gate: Gate;
  readonly chains: ChainCache;
  readonly log: DecisionLog;
  close(): Promise<void>;
}

export async function openParts(world: World): Promise<Parts> {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-bench-'));
  const file = join(folder, 'lemma.yaml');
  writeFileSync(file, JSON.stringify({ data: folder, ...world.config }));
  const { config } = loadConfig({ file, flags: {}, env: {}, cwd: folder });
  const store = await openStore({ path: join(folder, 'lemma.db'), clock: Date.now });
  const seed = randomBytes(32);
  const own = { kty: 'OKP', crv: 'Ed25519', x: toBase64url(publicKeyOf(seed)) } as const;
  const settings = settingsOf(config, 'bench', [own], []);
  const gate = createGate();
  const snapshot = await store.load();
  gate.load({
    runtimes: config.runtimes.map((entry) => ({
      ...entry,
      org: config.org,
      env: config.env,
      keys: null,
      status: 'active' as const,
      taint_epoch: 0,
      registered_at: Date.now(),
    })),
    revocations: [],
    nonces: [],
    budgets: [],
    position: snapshot.last,
    memoryLostAt: null,
    latestRecord: 0,
  });
  const policies = new PolicyRegistry(storeArchive(store));
  await policies.activate(await loadEmbedded(), EMBEDDED_TRUST);
  const log = openLog({
    store,
    node: 'bench',
    key: () => ({ keyid: 'bench', sign: (bytes) => toBase64url(signEd25519(bytes, seed)) }),
    clock: Date.now,
  });
  const chains = createChainCache();
  const pdp: Pdp = {
    node: 'bench',
    clock: Date.now,
    settings: () => settings,
    chains,
    gate,
    policies,
    log,
    taint: async () => undefined,
    onError: (error) => {
      throw error;
    },
  };
  return {
    pdp,
    gate,
    chains,
    log,
    async close() {
      await log.close();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
