import type { SignedEvent } from '../feed/feed.ts';
import type { Gate } from '../gate/gate.ts';
import type { StoredEvent, StoreEvent } from '../store/model.ts';

/** What an event asks of a node beyond its gate. */
export interface EventEffects {
  /** A bundle is active now. */
  readonly bundle: (sha256: string) => void;
  /** A key of the authority signs now, or is trusted no more. */
  readonly key: (change: {
    readonly kid: string;
    readonly x: string;
    readonly to: 'current' | 'retired';
  }) => void;
}

/** Brings a verified event, which is the next one, into force. Its payload is the authority's own, and so of its schema. */
export function applyEvent(event: SignedEvent, gate: Gate, effects: EventEffects): void {
  const { org, env, time } = event;
  const own = event as unknown as StoreEvent & Pick<StoredEvent, 'epoch' | 'seq'>;
  const place = { epoch: event.epoch, seq: event.seq };
  switch (own.type) {
    case 'register': {
      const { runtime_id, agent_id, workspace_id, profile, subject, keys, taint_epoch = 0 } = own.payload;
      const who = { runtime_id, agent_id, workspace_id, profile, subject, keys };
      gate.putRuntime({ ...who, org, env, status: 'active', registered_at: time, taint_epoch }, place);
      return;
    }
    case 'kill':
      change(own.payload.runtime_id, { status: 'killed' });
      return;
    case 'taint':
      change(own.payload.runtime_id, { taint_epoch: own.payload.taint_epoch });
      return;
    case 'status':
      change(own.payload.runtime_id, { status: own.payload.status });
      return;
    case 'revoke': {
      const { kind, value } = own.payload;
      gate.revoke({ org, env, kind, value }, place);
      return;
    }
    case 'bundle':
      effects.bundle(own.payload.sha256);
      gate.advance(place);
      return;
    case 'key':
      if (own.payload.change?.use === 'authority') effects.key(own.payload.change);
      gate.advance(place);
      return;
    case 'reactivate': {
      const { runtime_id, taint_epoch } = own.payload;
      const runtime = gate.runtime(org, env, runtime_id);
      const revived = { taint_epoch, at: time };
      if (runtime === null) gate.advance(place);
      else gate.putRuntime({ ...runtime, status: 'active', taint_epoch, revived }, place);
      return;
    }
    case 'configured':
      for (const runtime of own.payload.runtimes) gate.putRuntime({ ...runtime, org, env });
      for (const id of own.payload.withdrawn) withdraw(id);
      gate.advance(place);
      return;
    case 'admin':
    case 'restore':
      gate.advance(place);
      return;
    default:
      // Of a later release: what it means there, it cannot mean here, and the log goes on.
      gate.advance(place);
  }

  function withdraw(id: string): void {
    const runtime = gate.runtime(org, env, id);
    if (runtime !== null) gate.putRuntime({ ...runtime, status: 'inactive' });
  }

  function change(id: string, to: { status?: 'active' | 'inactive' | 'killed'; taint_epoch?: number }): void {
    const runtime = gate.runtime(org, env, id);
    // One that is not registered here is `runtime_unknown` anyway.
    if (runtime === null) gate.advance(place);
    else gate.putRuntime({ ...runtime, ...to }, place);
  }
}
