import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import type { IssueProofBody } from '../schema/api.ts';
import type { Route } from '../schema/request.ts';
import type { RuntimeState, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { identityOf } from './identity.ts';
import { createIssuer, type IssuedProof } from './issue.ts';
import type { Keys } from './keys.ts';
import { createRegistrar, type Registrar } from './register.ts';
import { createStops, type Stops, type StopsOptions } from './stop.ts';

export interface AuthorityOptions {
  /** The deployment's own org and env. */
  readonly home: Tenant;
  /** Hostname of the site that the operator's PPID and key belong to (`siteHost`). */
  readonly host: string;
  readonly keys: Pick<Keys, 'rootSecret' | 'automation'>;
  /** The seed that signs roots now. */
  readonly issuer: () => Uint8Array;
  readonly store: Pick<Store, 'appendEvent' | 'eventsAround'>;
  /** Loaded before the first verb. */
  readonly gate: Gate;
  /** Waits for the other nodes; absent: there are none. */
  readonly spread?: StopsOptions['spread'];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly routes: () => readonly Route[];
  /** `Snapshot.unregistered` of the store at start. */
  readonly states: readonly RuntimeState[];
  readonly onError: (error: unknown, doing: string) => void;
}

export interface RuntimePage {
  readonly runtimes: readonly LiveRuntime[];
  readonly next_cursor: string | null;
}

/** The control plane's verbs. */
export interface Authority extends Registrar, Stops {
  /** `did:lemma:ppid_…` of the embedded operator. */
  readonly subject: string;
  issueProof(body: IssueProofBody): IssuedProof;
  /** Null also for what another organisation has. */
  find(tenant: Tenant, runtimeId: string): LiveRuntime | null;
  /** A tenant's runtimes by id, those after `cursor` (a runtime id). */
  list(tenant: Tenant, page: { readonly cursor?: string | undefined; readonly limit: number }): RuntimePage;
}

export function createAuthority(options: AuthorityOptions): Authority {
  const { gate, keys } = options;
  const identity = identityOf(keys, options.host);
  const { subject } = identity;
  return {
    subject,
    ...createRegistrar({ ...options, subject }),
    ...createStops(options),
    issueProof: createIssuer({ ...options, identity }),
    find: ({ org, env }, runtimeId) => gate.runtime(org, env, runtimeId),
    list: (tenant, page) => listRuntimes(gate, tenant, page),
  };
}

function listRuntimes(
  gate: Gate,
  { org, env }: Tenant,
  { cursor = '', limit }: { readonly cursor?: string | undefined; readonly limit: number },
): RuntimePage {
  const rest = [...gate.runtimes()]
    .filter((runtime) => runtime.org === org && runtime.env === env && runtime.runtime_id > cursor)
    .sort((a, b) => (a.runtime_id < b.runtime_id ? -1 : 1));
  const runtimes = rest.slice(0, limit);
  return { runtimes, next_cursor: rest.length > limit ? (runtimes.at(-1)?.runtime_id ?? null) : null };
}
