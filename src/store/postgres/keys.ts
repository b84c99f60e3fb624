import { retired } from '../keys.ts';
import type { KeyChange, SigningKey } from '../model.ts';
import { one, type Sql } from './sql.ts';

/** Every public key of this deployment, by use, the oldest first. */
export function signingKeys(sql: Sql): Promise<SigningKey[]> {
  return sql.all(
    'SELECT use, kid, x, status, since, until, endorsement FROM signing_keys ORDER BY use, since, kid',
  );
}

/** Applies a change at `time` (ms), in the caller's transaction. Throws `StoreConflict`: a retired key stays so. */
export async function changeKey(
  sql: Sql,
  { use, kid, x, to, endorse = [] }: KeyChange,
  time: number,
): Promise<void> {
  if (to === 'current') {
    const known = await one<Pick<SigningKey, 'status'>>(
      sql,
      'SELECT status FROM signing_keys WHERE use = $1 AND kid = $2',
      [use, kid],
    );
    if (known?.status === 'retired') throw retired(use, kid);
    await sql.run(
      "UPDATE signing_keys SET status = 'previous', until = $1 WHERE use = $2 AND status = 'current' AND kid <> $3",
      [time, use, kid],
    );
  }
  await sql.run(
    `INSERT INTO signing_keys (use, kid, x, status, since, until) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (use, kid) DO UPDATE SET status = excluded.status, until = excluded.until, endorsement = NULL`,
    [use, kid, x, to, time, to === 'current' ? null : time],
  );
  for (const { kid: about, signature } of endorse) {
    await sql.run('UPDATE signing_keys SET endorsement = $1 WHERE use = $2 AND kid = $3', [
      signature,
      use,
      about,
    ]);
  }
}
