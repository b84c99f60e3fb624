import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadKeys } from '../../src/authority/keys.ts';
import { toNewRecord } from '../../src/decision-log/record.ts';
import type { Reason } from '../../src/reason.ts';
import type { RecordBody } from '../../src/schema/decision.ts';
import { recordWriter } from '../../src/store/commit.ts';
import { openDatabase } from '../../src/store/database.ts';
import { eventWriter } from '../../src/store/events.ts';
import { metaOf } from '../../src/store/meta.ts';

/**
 * A data folder with many runtimes and a long log, for measuring, in minutes: the service's own writers, in large
 * transactions and without waiting for the disk. The chain is whole (`lemma decisions verify`); it has no checkpoints.
 *
 *     node tools/load/make-log.ts <folder> [--runtimes 50000] [--decisions 2000000] [--days 30]
 */

/** One in so many records is denied, by these reasons; the last ones are rare. */
const DENIED_ONE_IN = 50;
const REASONS: readonly Reason[] = ['scope_denied', 'proof_expired', 'policy_denied', 'taint_stale'];
const RARE_ONE_IN = 200_000;
const BATCH = 5000;
const TENANT = { org: 'local', env: 'default' };

export interface LogShape {
  readonly runtimes: number;
  readonly decisions: number;
  readonly days: number;
}

/** Who runtime `n` is: a tenth as many agents and subjects, a hundredth as many workspaces. */
export function runtimeOf(n: number, runtimes: number) {
  const part = (share: number) => n % Math.max(1, Math.floor(runtimes / share));
  return {
    runtime_id: `runtime-${n}`,
    agent_id: `agent-${part(10)}`,
    workspace_id: `workspace-${part(100)}`,
    subject: `did:lemma:ppid_${part(10).toString(16).padStart(64, '0')}`,
  };
}

/** Makes the database in the folder, and gives how long it took, in seconds. `now`: the time of the last record (ms). */
export function makeLog(folder: string, shape: LogShape, now: number, say: (line: string) => void): number {
  const began = performance.now();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  loadKeys(folder);
  const db = openDatabase(join(folder, 'lemma.db'), now - shape.days * 86_400_000);
  db.pragma('synchronous = OFF');
  db.pragma('cache_size = -262144');
  const append = eventWriter(db, metaOf(db).epoch);
  db.transaction(() => {
    for (let n = 0; n < shape.runtimes; n++) {
      const payload = { ...runtimeOf(n, shape.runtimes), profile: 'low', keys: null } as const;
      append({ ...TENANT, type: 'register', payload, time: now - shape.days * 86_400_000 });
    }
  }).immediate();
  const records = recordWriter(db);
  const step = (shape.days * 86_400_000) / shape.decisions;
  for (let from = 0; from < shape.decisions; from += BATCH) {
    const count = Math.min(BATCH, shape.decisions - from);
    const batch = Array.from({ length: count }, (_, at) => {
      const body = bodyOf(from + at, shape, Math.round(now - (shape.decisions - from - at) * step));
      return toNewRecord(body, {}, null, []);
    });
    db.transaction(() => records.write({ node: 'load', lost: 0, records: batch }, now)).immediate();
    records.keep();
    if (from % 200_000 === 0) say(`${from} of ${shape.decisions}`);
  }
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  return (performance.now() - began) / 1000;
}

function bodyOf(n: number, { runtimes }: LogShape, time: number): RecordBody {
  // Coprime to most counts: neighbours in the log are different runtimes.
  const { subject, ...ids } = runtimeOf((n * 7919) % runtimes, runtimes);
  const denied = n % DENIED_ONE_IN === 0;
  const rare = n % RARE_ONE_IN === 1;
  const reason = rare
    ? 'replay_detected'
    : denied
      ? (REASONS[(n / DENIED_ONE_IN) % REASONS.length] ?? 'revoked')
      : 'allowed';
  const verdict = reason === 'allowed' ? 'allow' : 'deny';
  const path = `/v1/documents/${n}`;
  return {
    decision_id: `dec_${randomBytes(16).toString('base64url')}`,
    time,
    node: 'load',
    ...TENANT,
    profile: 'low',
    bundle: { name: 'low', revision: 'load', sha256: '0'.repeat(64) },
    route: { id: rare ? 'documents.purge' : `documents.read-${n % 20}`, revision: 'load' },
    config_revision: 'load',
    verdict,
    reason,
    reasons: verdict === 'allow' ? [] : [reason],
    stage: verdict === 'allow' ? 'answer' : 'policy',
    observed: false,
    amends: false,
    border: 'grpc',
    actor: { subject, ...ids, run_id: null, scope: ['documents.read'] },
    request: { method: 'GET', host: 'api.example.com', path },
    failed: null,
    links: [1, 2, 3].map((link) => ({
      type: 'delegation',
      id: `lem_${'A'.repeat(21)}${link}`,
      issuer: '0'.repeat(43),
      scope: ['documents.read'],
      audience: ['https://api.example.com'],
      issued_at: 1_790_000_000,
      not_before: 1_790_000_000,
      expires_at: 1_790_086_400,
    })),
    nonce: null,
    input: null,
    result: null,
    took_us: { request: 10, proof: 20, gate: 5, policy: 40, log: 10 },
    trace_id: null,
  };
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runtimes: { type: 'string', default: '50000' },
      decisions: { type: 'string', default: '2000000' },
      days: { type: 'string', default: '30' },
    },
  });
  const [folder] = positionals;
  if (folder === undefined) throw new Error('say the folder to make');
  const shape = {
    runtimes: Number(values.runtimes),
    decisions: Number(values.decisions),
    days: Number(values.days),
  };
  const took = makeLog(resolve(process.env.INIT_CWD ?? '.', folder), shape, Date.now(), (line) =>
    console.error(line),
  );
  console.log(`made in ${took.toFixed(0)} s`);
}
