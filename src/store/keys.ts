import type { Database } from 'better-sqlite3';
import type { KeyUse } from '../schema/common.ts';
import { StoreConflict } from './errors.ts';
import type { KeyChange, SigningKey } from './model.ts';

/** Every public key of this deployment, by use, the oldest first. */
export function signingKeys(db: Database): SigningKey[] {
  return db
    .prepare<unknown[], SigningKey>(
      'SELECT use, kid, x, status, since, until, endorsement FROM signing_keys ORDER BY use, since, kid',
    )
    .all();
}

/** Applies a change at `time` (ms), in the caller's transaction. Throws `StoreConflict`: a retired key stays so. */
export function keyChanger(db: Database): (change: KeyChange, time: number) => void {
  const find = db
    .prepare<[KeyUse, string], SigningKey['status']>(
      'SELECT status FROM signing_keys WHERE use = ? AND kid = ?',
    )
    .pluck();
  const supersede = db.prepare(
    "UPDATE signing_keys SET status = 'previous', until = ? WHERE use = ? AND status = 'current' AND kid <> ?",
  );
  const put = db.prepare(
    `INSERT INTO signing_keys (use, kid, x, status, since, until) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET status = excluded.status, until = excluded.until, endorsement = NULL`,
  );
  const endorse = db.prepare('UPDATE signing_keys SET endorsement = ? WHERE use = ? AND kid = ?');
  return ({ use, kid, x, to, endorse: endorsements = [] }, time) => {
    if (to === 'current') {
      if (find.get(use, kid) === 'retired') {
        throw retired(use, kid);
      }
      supersede.run(time, use, kid);
      put.run(use, kid, x, 'current', time, null);
    } else {
      put.run(use, kid, x, 'retired', time, time);
    }
    for (const one of endorsements) endorse.run(one.signature, use, one.kid);
  };
}

export function retired(use: KeyUse, kid: string): StoreConflict {
  return new StoreConflict('key_retired', `The ${use} key ${kid} was retired, and that is for ever`);
}
