import type { Database } from 'better-sqlite3';
import type { SpentNonce } from '../schema/decision.ts';
import { type Blocks, blockWriter } from './blocks.ts';
import { FIRST_PREV, sealLine } from './chain.ts';
import type { BudgetUse, ChainHead, Committed, NewRecord, RecordBatch } from './model.ts';

/** A nonce is kept until `created` plus this (proofs.md, step 13). */
export const NONCE_LIFE_S = 90;
/** A spent budget outlives its lemma by this, should the clock be set back. */
export const BUDGET_GRACE_S = 3600;
export const PRUNE_EVERY_MS = 1000;
export const PRUNE_AT_MOST = 5000;

type Heads = ReadonlyMap<string, ChainHead>;

export interface RecordWriter {
  /** Adds the batch to its node's chain, in the caller's transaction. `now` in milliseconds. */
  write(batch: RecordBatch, now: number): Committed;
  /** The transaction was committed, or undone: the chain's head in memory follows. */
  keep(): void;
  undo(): void;
  readonly blocks: Blocks;
}

/** `seq`, `prev` and `hash` are given here, in the order of arrival; records, nonces and budgets are one commit. */
export function recordWriter(db: Database): RecordWriter {
  const insert = db.prepare(
    `INSERT INTO records (node, seq, decision_id, time, org, env, runtime_id, agent_id, workspace_id, subject, verdict,
       reason, route, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const putHead = db.prepare(
    `INSERT INTO chains (node, seq, hash) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET seq = excluded.seq, hash = excluded.hash`,
  );
  const state = stateWriter(db);
  const blocks = blockWriter(db);
  let kept: Heads = new Map(
    db
      .prepare<unknown[], ChainHead>('SELECT node, seq, hash FROM chains')
      .all()
      .map((head) => [head.node, head]),
  );
  let draft = kept;

  function add(record: NewRecord, head: ChainHead, lost: number): ChainHead {
    const seq = head.seq + 1;
    const { line, hash } = sealLine(seq, lost, record.members, head.hash);
    const { lastInsertRowid } = insert.run(
      head.node,
      seq,
      record.decision_id,
      record.time,
      record.org,
      record.env,
      record.runtime_id,
      record.agent_id,
      record.workspace_id,
      record.subject,
      record.verdict,
      record.reason,
      record.route,
      line,
    );
    blocks.add(record, Number(lastInsertRowid));
    return { node: head.node, seq, hash };
  }

  return {
    write({ node, lost, records }, now) {
      let head = draft.get(node) ?? { node, seq: 0, hash: FIRST_PREV };
      let lostBefore = lost;
      const seqs = blocks.whole(() => {
        const added = records.map((record) => {
          if (record.nonce !== null && !state.spendNonce(record.nonce, now)) return null;
          for (const use of record.budget) state.spendBudget(use);
          head = add(record, head, lostBefore);
          lostBefore = 0;
          return head.seq;
        });
        state.prune(now);
        if (head.seq > 0) putHead.run(node, head.seq, head.hash);
        return added;
      });
      if (head.seq === 0) return { seqs, head: null };
      draft = new Map(draft).set(node, head);
      return { seqs, head };
    },
    keep() {
      kept = draft;
      blocks.keep();
    },
    undo() {
      draft = kept;
      blocks.undo();
    },
    blocks,
  };
}

interface StateWriter {
  /** False where it was spent before, and its time is not over. */
  spendNonce(spent: SpentNonce, now: number): boolean;
  spendBudget(use: BudgetUse): void;
  /** Takes out what has expired: at most once a second, and a bounded number. */
  prune(now: number): void;
}

function stateWriter(db: Database): StateWriter {
  const putNonce = db.prepare(
    `INSERT INTO nonces (keyid, nonce, created) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET created = excluded.created WHERE nonces.created <= ?`,
  );
  const putBudget = db.prepare(
    `INSERT INTO budgets (lemma_id, used, expires_at) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET used = used + excluded.used, expires_at = max(expires_at, excluded.expires_at)`,
  );
  const pruneNonces = db.prepare(
    `DELETE FROM nonces WHERE id IN (SELECT id FROM nonces WHERE created <= ? LIMIT ${PRUNE_AT_MOST})`,
  );
  const pruneBudgets = db.prepare(
    `DELETE FROM budgets WHERE lemma_id IN (SELECT lemma_id FROM budgets WHERE expires_at <= ? LIMIT ${PRUNE_AT_MOST})`,
  );
  let pruned = Number.NEGATIVE_INFINITY;

  return {
    spendNonce({ keyid, nonce, created }, now) {
      return putNonce.run(keyid, nonce, created, expiredBefore(now)).changes > 0;
    },
    spendBudget({ lemma_id, used_delta, expires_at }) {
      putBudget.run(lemma_id, used_delta, expires_at);
    },
    prune(now) {
      // `abs`: a clock that was set back must not stop the pruning for as long.
      if (Math.abs(now - pruned) < PRUNE_EVERY_MS) return;
      pruned = now;
      pruneNonces.run(expiredBefore(now));
      pruneBudgets.run(Math.floor(now / 1000) - BUDGET_GRACE_S);
    },
  };
}

/** Nonces created at or before this second have had their time. */
export function expiredBefore(now: number): number {
  return Math.floor(now / 1000) - NONCE_LIFE_S;
}
