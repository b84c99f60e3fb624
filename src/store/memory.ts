import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MARK = 'memory-lost';
/** After this many seconds no PoP of that time is good any more. */
const FORGET = 300;

/**
 * When the store lost its memory of spent nonces, in seconds, or null. The database of a folder that already had keys
 * is gone: what was spent before is not known. The mark outlives a restart.
 *
 * Call it before the database is made. `now` in seconds.
 */
export function memoryLostAt(
  folder: string,
  databasePath: string,
  hadKeys: boolean,
  now: number,
): number | null {
  const mark = join(folder, MARK);
  if (hadKeys && !existsSync(databasePath)) {
    writeFileSync(mark, `${now}\n`, { mode: 0o600 });
    return now;
  }
  if (!existsSync(mark)) return null;
  const lost = Number(readFileSync(mark, 'utf8').trim());
  // What can't be read may have been just now.
  if (!Number.isInteger(lost)) return now;
  return now - lost > FORGET ? null : lost;
}

/**
 * The same for a database that is elsewhere: what was spent before its birth (ms) it cannot know. Null where no proof can
 * be as old, or where there were no keys to make one.
 */
export function memoryBornAt(birth: number, hadKeys: boolean, now: number): number | null {
  const born = Math.floor(birth / 1000);
  return hadKeys && now - born <= FORGET ? born : null;
}
