import type { Database } from 'better-sqlite3';
import { StoreConflict } from './errors.ts';
import { keyChanger } from './keys.ts';
import type { EventPlace, RuntimeState, StoreEvent } from './model.ts';

export type Of<T extends StoreEvent['type']> = Extract<StoreEvent, { readonly type: T }>;
export type State = Pick<RuntimeState, 'status' | 'taint_epoch'>;

export const NEW_STATE: State = { status: 'active', taint_epoch: 0 };

/** Appends events and applies them, in the caller's transaction. Throws `StoreConflict` before it writes anything. */
export function eventWriter(db: Database, epoch: number): (event: StoreEvent) => EventPlace {
  const insertEvent = db.prepare<unknown[], { seq: number }>(
    'INSERT INTO events (epoch, time, org, env, type, runtime_id, payload) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING seq',
  );
  const findState = db.prepare<unknown[], State>(
    'SELECT status, taint_epoch FROM runtime_states WHERE org = ? AND env = ? AND runtime_id = ?',
  );
  // Monotonic whatever a caller says: killed stays killed, a taint epoch never falls.
  const putState = db.prepare(
    `INSERT INTO runtime_states (org, env, runtime_id, status, taint_epoch) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET status = CASE WHEN status = 'killed' THEN status ELSE excluded.status END,
       taint_epoch = max(taint_epoch, excluded.taint_epoch)`,
  );
  const revive = db.prepare(
    `UPDATE runtime_states SET status = 'active', taint_epoch = @epoch, revived_epoch = @epoch, revived_at = @at
     WHERE org = @org AND env = @env AND runtime_id = @id`,
  );
  const findRuntime = db.prepare<unknown[], RuntimeRow>(
    'SELECT agent_id, workspace_id, profile, subject, keys, seq FROM runtimes WHERE org = ? AND env = ? AND runtime_id = ?',
  );
  const insertRuntime = db.prepare(
    `INSERT INTO runtimes (org, env, runtime_id, agent_id, workspace_id, profile, subject, keys, registered_at, seq)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertRevocation = db.prepare(
    'INSERT OR IGNORE INTO revocations (org, env, kind, value) VALUES (?, ?, ?, ?)',
  );
  const activate = db.prepare('UPDATE bundles SET activated_at = ?, activated_seq = ? WHERE sha256 = ?');
  const changeKey = keyChanger(db);
  const hasBundle = db.prepare('SELECT 1 FROM bundles WHERE sha256 = ?').pluck();

  return (event) => {
    switch (event.type) {
      case 'register':
        return register(event);
      case 'kill':
        return change(event, { status: 'killed' });
      case 'taint':
        return change(event, { taint_epoch: event.payload.taint_epoch });
      case 'status':
        return setStatus(event);
      case 'reactivate':
        return reactivate(event);
      case 'admin':
        return append(event, event.payload.runtime_id ?? null);
      case 'revoke':
        insertRevocation.run(event.org, event.env, event.payload.kind, event.payload.value);
        return append(event, null);
      case 'bundle':
        return activateBundle(event);
      case 'configured':
      case 'restore':
        return append(event, null);
      case 'key':
        if (event.payload.change !== undefined) changeKey(event.payload.change, event.time);
        return append(event, null);
    }
  };

  function append(event: StoreEvent, runtimeId: string | null): EventPlace {
    const payload = JSON.stringify(event.payload);
    const row = insertEvent.get(epoch, event.time, event.org, event.env, event.type, runtimeId, payload);
    if (row === undefined) throw new Error('an event was not given a number');
    return { epoch, seq: row.seq };
  }

  function stateOf(event: StoreEvent, runtimeId: string): State {
    return findState.get(event.org, event.env, runtimeId) ?? NEW_STATE;
  }

  function change(event: Of<'kill' | 'taint' | 'status'>, to: Partial<State>): EventPlace {
    const id = event.payload.runtime_id;
    const state = { ...stateOf(event, id), ...to };
    putState.run(event.org, event.env, id, state.status, state.taint_epoch);
    return append(event, id);
  }

  function setStatus(event: Of<'status'>): EventPlace {
    const id = event.payload.runtime_id;
    if (stateOf(event, id).status === 'killed') throw killed(id);
    return change(event, { status: event.payload.status });
  }

  function reactivate(event: Of<'reactivate'>): EventPlace {
    const { org, env, time, payload } = event;
    const state = stateOf(event, payload.runtime_id);
    if (state.status !== 'killed' || payload.taint_epoch <= state.taint_epoch)
      throw alive(payload.runtime_id);
    revive.run({ org, env, id: payload.runtime_id, epoch: payload.taint_epoch, at: time });
    return append(event, payload.runtime_id);
  }

  function register(event: Of<'register'>): EventPlace {
    const { org, env, payload } = event;
    const id = payload.runtime_id;
    const state = stateOf(event, id);
    if (state.status === 'killed') throw killed(id);
    const wanted = columnsOf(payload);
    const found = findRuntime.get(org, env, id);
    if (found !== undefined) return { epoch, seq: sameOrDiffers(id, found, wanted) };
    const place = append(event, id);
    insertRuntime.run(org, env, id, ...wanted, event.time, place.seq);
    putState.run(org, env, id, state.status, payload.taint_epoch ?? 0);
    return place;
  }

  function activateBundle(event: Of<'bundle'>): EventPlace {
    const { sha256 } = event.payload;
    if (hasBundle.get(sha256) === undefined) throw unknownBundle(sha256);
    const place = append(event, null);
    activate.run(event.time, place.seq, sha256);
    return place;
  }
}

export interface RuntimeRow {
  readonly agent_id: string;
  readonly workspace_id: string;
  readonly profile: string;
  readonly subject: string;
  readonly keys: string | null;
  readonly seq: number;
}

/** What a registration says, in the order of the columns from `agent_id` to `keys`. */
export function columnsOf(payload: Of<'register'>['payload']): (string | null)[] {
  const keys = payload.keys === null ? null : JSON.stringify([...new Set(payload.keys)].sort());
  return [payload.agent_id, payload.workspace_id, payload.profile, payload.subject, keys];
}

/** The number of the event that registered the same. Throws `StoreConflict` where it was something else. */
export function sameOrDiffers(id: string, found: RuntimeRow, wanted: readonly (string | null)[]): number {
  const has = [found.agent_id, found.workspace_id, found.profile, found.subject, found.keys];
  if (has.some((value, index) => value !== wanted[index])) throw differs(id);
  return found.seq;
}

export function unknownBundle(sha256: string): StoreConflict {
  return new StoreConflict('bundle_unknown', `No bundle ${sha256} is stored: put it before it is activated`);
}

export function killed(id: string): StoreConflict {
  return new StoreConflict(
    'runtime_killed',
    `Runtime ${id} was killed: use a new runtime id, or reactivate it first`,
  );
}

export function alive(id: string): StoreConflict {
  return new StoreConflict(
    'runtime_alive',
    `Runtime ${id} is not known as killed under that taint epoch: look at it again`,
  );
}

function differs(id: string): StoreConflict {
  return new StoreConflict(
    'runtime_differs',
    `Runtime ${id} is registered already with other data: use another id`,
  );
}
