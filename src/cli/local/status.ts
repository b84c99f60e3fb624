import type { Live } from '../../app.ts';
import { destinationsOf } from '../../request/firewall.ts';
import type { Config } from '../../schema/config.ts';
import type { FirewallState } from '../../schema/local-state.ts';

/** What the control channel says to `GET /status`: the state file's members but the channel's own, and what is so now. */
export interface FirewallStatus extends Omit<FirewallState, 'v' | 'control_channel'> {
  readonly uptime_s: number;
  /** Whether the control plane answers; null: it is in the same process. */
  readonly connected: boolean | null;
  /** How old the state is, and where it comes from. */
  readonly freshness: { readonly age_ms: number; readonly source: 'local' | 'lease'; readonly seq: number };
  readonly apis: readonly StatusApi[];
  /** Whether it is a forward proxy, too. */
  readonly proxy: boolean;
  readonly runtimes: readonly {
    readonly runtime_id: string;
    readonly status: string;
    readonly taint_epoch: number;
  }[];
  readonly policies: readonly { readonly name: string; readonly revision: string }[];
  /** Why the last reload of each was refused; null: it was taken, or there was none. Absent: it is of an earlier version. */
  readonly refused?: Refused;
  /** Of this process, since it started. */
  readonly decisions: { readonly allow: number; readonly deny: number };
}

export interface Refused {
  readonly configuration: string | null;
  readonly bundles: string | null;
}

/** What may be reached, as a proof must allow it. */
export interface StatusApi {
  readonly id: string;
  readonly audience: string;
  readonly scope: readonly string[];
  readonly methods: readonly string[];
  readonly path_prefixes: readonly string[];
  readonly risk: string;
  readonly taint_on_response: boolean;
}

interface Parts {
  readonly state: FirewallState;
  readonly config: Config;
  readonly live: Live;
  readonly counts: FirewallStatus['decisions'];
  readonly refused: Refused;
}

export function statusOf({ state, config, live, counts, refused }: Parts): FirewallStatus {
  const { v: _v, control_channel: _channel, ...known } = state;
  const { age_ms, source, seq } = live.freshness();
  return {
    ...known,
    uptime_s: Math.floor((Date.now() - Date.parse(state.started_at)) / 1000),
    connected: live.connected(),
    freshness: { age_ms, source, seq },
    apis: [...destinationsOf(config.firewall?.apis ?? []).values()].map(({ api, origin }) => ({
      id: api.id,
      audience: origin,
      scope: api.scope,
      methods: api.methods,
      path_prefixes: api.path_prefixes,
      risk: api.risk,
      taint_on_response: api.taint_on_response,
    })),
    proxy: (config.firewall?.proxy ?? null) !== null,
    runtimes: live
      .runtimes()
      .map(({ runtime_id, status, taint_epoch }) => ({ runtime_id, status, taint_epoch })),
    policies: live.bundles().map(({ name, revision }) => ({ name, revision })),
    refused,
    decisions: counts,
  };
}
