import type { SpentNonce } from '../../schema/decision.ts';
import { FIRST_PREV, sealLine } from '../chain.ts';
import { BUDGET_GRACE_S, expiredBefore, PRUNE_AT_MOST, PRUNE_EVERY_MS } from '../commit.ts';
import type { BudgetState, ChainHead, Committed, RecordBatch, RecordIndex } from '../model.ts';
import type { Sql } from './sql.ts';

export interface BatchToWrite {
  readonly batch: RecordBatch;
  /** Milliseconds. */
  readonly now: number;
}

interface Row extends RecordIndex {
  readonly node: string;
  readonly seq: number;
  readonly line: string;
}

interface Growth {
  head: ChainHead;
  records: number;
  bytes: number;
}

export interface RecordWriter {
  /** Adds batches to their nodes' chains, in order, in the caller's transaction: a few statements, however many they are. */
  write(sql: Sql, batches: readonly BatchToWrite[]): Promise<Committed[]>;
}

/**
 * `seq`, `prev` and `hash` are given here, from heads that are read under their locks: a node's next writer, also one of
 * another process, goes on from what was committed.
 */
export function recordWriter(onWritten: (records: number, bytes: number) => void): RecordWriter {
  let pruned = Number.NEGATIVE_INFINITY;

  return {
    async write(sql, batches) {
      const now = Math.min(...batches.map((one) => one.now));
      const chains = await lockChains(sql, [...new Set(batches.map(({ batch }) => batch.node))]);
      const fresh = await spendNonces(sql, noncesOf(batches), expiredBefore(now));
      const budgets = new Map<string, BudgetState>();
      const rows: Row[] = [];
      const committed = batches.map(({ batch: { node, lost, records } }): Committed => {
        const growth = chains.get(node) ?? { head: { node, seq: 0, hash: FIRST_PREV }, records: 0, bytes: 0 };
        chains.set(node, growth);
        let lostBefore = lost;
        const seqs = records.map(({ nonce, budget, members, ...index }) => {
          // A nonce is let through once: the second of one group is no longer fresh.
          if (nonce !== null && !fresh.delete(nonceKey(nonce))) return null;
          for (const { lemma_id, used_delta, expires_at } of budget) {
            const known = budgets.get(lemma_id) ?? { lemma_id, used: 0, expires_at };
            const used = known.used + used_delta;
            budgets.set(lemma_id, { lemma_id, used, expires_at: Math.max(known.expires_at, expires_at) });
          }
          const seq = growth.head.seq + 1;
          const { line, hash } = sealLine(seq, lostBefore, members, growth.head.hash);
          lostBefore = 0;
          rows.push({ ...index, node, seq, line: line.toString('utf8') });
          growth.head = { node, seq, hash };
          growth.records += 1;
          growth.bytes += line.length;
          return seq;
        });
        return { seqs, head: growth.head.seq === 0 ? null : growth.head };
      });
      if (budgets.size > 0) await spendBudgets(sql, [...budgets.values()]);
      if (rows.length > 0) await insert(sql, rows, [...chains.values()]);
      await prune(sql, now);
      return committed;
    },
  };

  async function insert(sql: Sql, rows: readonly Row[], grown: readonly Growth[]): Promise<void> {
    await sql.run(
      `INSERT INTO records (position, node, seq, decision_id, time, org, env, runtime_id, agent_id, workspace_id, subject,
         verdict, reason, route, line)
       SELECT (SELECT coalesce(max(position), 0) FROM records) + r.n, node, seq, decision_id, time, org, env, runtime_id,
         agent_id, workspace_id, subject, verdict, reason, route, line
       FROM ROWS FROM (json_to_recordset($1) AS (node text, seq bigint, decision_id text, time bigint, org text, env text,
         runtime_id text, agent_id text, workspace_id text, subject text, verdict text, reason text, route text, line text))
         WITH ORDINALITY AS r (node, seq, decision_id, time, org, env, runtime_id, agent_id, workspace_id, subject, verdict,
           reason, route, line, n)`,
      [JSON.stringify(rows)],
    );
    const heads = grown.filter(({ records }) => records > 0);
    await sql.run(
      `INSERT INTO chains (node, seq, hash, records, bytes)
       SELECT node, seq, hash, records, bytes
       FROM json_to_recordset($1) AS h (node text, seq bigint, hash text, records bigint, bytes bigint)
       ON CONFLICT (node) DO UPDATE SET seq = excluded.seq, hash = excluded.hash,
         records = chains.records + excluded.records, bytes = chains.bytes + excluded.bytes`,
      [JSON.stringify(heads.map(({ head, records, bytes }) => ({ ...head, records, bytes })))],
    );
    for (const { records, bytes } of heads) onWritten(records, bytes);
  }

  /** Takes out what has expired: at most once a second, and a bounded number. */
  async function prune(sql: Sql, now: number): Promise<void> {
    // `abs`: a clock that was set back must not stop the pruning for as long.
    if (Math.abs(now - pruned) < PRUNE_EVERY_MS) return;
    pruned = now;
    await sql.run(
      `DELETE FROM nonces WHERE (keyid, nonce) IN
         (SELECT keyid, nonce FROM nonces WHERE created <= $1 LIMIT ${PRUNE_AT_MOST})`,
      [expiredBefore(now)],
    );
    await sql.run(
      `DELETE FROM budgets WHERE lemma_id IN (SELECT lemma_id FROM budgets WHERE expires_at <= $1 LIMIT ${PRUNE_AT_MOST})`,
      [Math.floor(now / 1000) - BUDGET_GRACE_S],
    );
  }
}

async function lockChains(sql: Sql, nodes: readonly string[]): Promise<Map<string, Growth>> {
  const heads = await sql.all<ChainHead>(
    'SELECT node, seq, hash FROM chains WHERE node = ANY($1) ORDER BY node FOR UPDATE',
    [nodes],
  );
  return new Map(heads.map((head) => [head.node, { head, records: 0, bytes: 0 }]));
}

function noncesOf(batches: readonly BatchToWrite[]): SpentNonce[] {
  const nonces = batches.flatMap(({ batch }) => batch.records.flatMap(({ nonce }) => nonce ?? []));
  // The first of each: it is the one that is let through.
  return [...new Map(nonces.toReversed().map((nonce) => [nonceKey(nonce), nonce])).values()];
}

function nonceKey({ keyid, nonce }: Pick<SpentNonce, 'keyid' | 'nonce'>): string {
  return JSON.stringify([keyid, nonce]);
}

/** Keys of those that were not spent before, or whose time is over. */
async function spendNonces(sql: Sql, nonces: readonly SpentNonce[], expired: number): Promise<Set<string>> {
  if (nonces.length === 0) return new Set();
  const fresh = await sql.all<Pick<SpentNonce, 'keyid' | 'nonce'>>(
    `INSERT INTO nonces (keyid, nonce, created)
     SELECT keyid, nonce, created FROM json_to_recordset($1) AS n (keyid text, nonce text, created bigint)
     ON CONFLICT (keyid, nonce) DO UPDATE SET created = excluded.created WHERE nonces.created <= $2
     RETURNING keyid, nonce`,
    [JSON.stringify(nonces), expired],
  );
  return new Set(fresh.map(nonceKey));
}

async function spendBudgets(sql: Sql, budgets: readonly BudgetState[]): Promise<void> {
  await sql.run(
    `INSERT INTO budgets (lemma_id, used, expires_at)
     SELECT lemma_id, used, expires_at FROM json_to_recordset($1) AS b (lemma_id text, used bigint, expires_at bigint)
     ON CONFLICT (lemma_id) DO UPDATE SET used = budgets.used + excluded.used,
       expires_at = greatest(budgets.expires_at, excluded.expires_at)`,
    [JSON.stringify(budgets)],
  );
}
