import { publicKeyOf } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import type { Gate } from '../gate/gate.ts';
import type { LiveRuntime } from '../gate/runtimes.ts';
import { createTrust, type TrustSet } from '../proof/trust.ts';
import type { BootstrapBody, IssueProofBody } from '../schema/api.ts';
import type { ApproveBody } from '../schema/api-runtimes.ts';
import type { AuthzRequest, Route } from '../schema/request.ts';
import type { RuntimeState, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { sameTenant } from '../store/tenant.ts';
import { type Approved, type Approver, createApprove } from './approve.ts';
import { createCursors } from './cursor.ts';
import { createSettings, type SettingsVerbs } from './deployment-settings.ts';
import { createDetail, type DetailOptions, type RuntimeDetail } from './detail.ts';
import type { Grants } from './grants.ts';
import { identityOf } from './identity.ts';
import { createIssuer, type IssuedProof } from './issue.ts';
import { createIssueAs } from './issue-as.ts';
import { createJoin, type Joined } from './join.ts';
import { createJoinTokens, type JoinTokens } from './join-tokens.ts';
import type { Keys } from './keys.ts';
import { createKillBelow, type Delegator, type EnforcedBelow } from './kill-below.ts';
import { listRuntimes, type RuntimePage, type RuntimeQuery } from './list.ts';
import { createOutstanding } from './outstanding.ts';
import { createRegistrar, type Registrar } from './register.ts';
import { createRenewer } from './renew.ts';
import { createResumes, type Resumes } from './resume.ts';
import { createStops, type Stops, type StopsOptions, type Why } from './stop.ts';

export type { RuntimePage } from './list.ts';

export interface AuthorityOptions {
  /** The deployment's own org and env. */
  readonly home: Tenant;
  /** Hostname of the site that the operator's PPID and key belong to (`siteHost`). */
  readonly host: string;
  readonly keys: Pick<Keys, 'rootSecret' | 'automation'>;
  /** The seed that signs roots now. */
  readonly issuer: () => Uint8Array;
  /** Whose roots count, for renewals; default: the issuer's alone. */
  readonly trust?: () => TrustSet;
  readonly store: Pick<
    Store,
    'appendEvent' | 'eventsAround' | 'putDocument' | 'getDocument' | 'listDocuments' | 'removeDocument'
  >;
  /** Loaded before the first verb. */
  readonly gate: Gate;
  /** Waits for the other nodes; absent: there are none. */
  readonly spread?: StopsOptions['spread'];
  readonly hold?: StopsOptions['hold'];
  readonly release?: StopsOptions['release'];
  /** What counts budgets over all nodes; absent, or null: each process counts its own. */
  readonly shared?: DetailOptions['shared'];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly routes: () => readonly Route[];
  /** `Snapshot.unregistered` of the store at start. */
  readonly states: readonly RuntimeState[];
  /** `Snapshot.fenced_at`; absent: the state was never restored. */
  readonly fencedAt?: number | null;
  readonly onError: (error: unknown, doing: string) => void;
}

/** The control plane's verbs. */
export interface Authority extends Registrar, Stops, Resumes {
  /** `did:lemma:ppid_…` of the embedded operator. */
  readonly subject: string;
  readonly settings: SettingsVerbs;
  /** Of this org and env, as the running configuration has them. */
  routesOf(tenant: Tenant): readonly Route[];
  readonly joinTokens: Pick<JoinTokens, 'create'>;
  /** Binds, and remembers nothing: `issue` is the verb. */
  issueProof(body: IssueProofBody): IssuedProof;
  issue(body: IssueProofBody, by: string, grants?: Grants | null): Promise<IssuedProof>;
  /** By a runtime's own proof and PoP over this request. */
  renew(request: AuthzRequest, body: IssueProofBody): Promise<IssuedProof>;
  /** Bootstrap by a join token, which brings a first proof where it says so. */
  join(token: string, body: BootstrapBody): Promise<Joined>;
  approve(runtimeId: string, body: ApproveBody, who: Approver): Promise<Approved>;
  killBelow(delegator: Delegator, why: Why, tenant: Tenant): Promise<EnforcedBelow>;
  detail(tenant: Tenant, runtimeId: string): Promise<RuntimeDetail>;
  /** Null also for what another organisation has. */
  find(tenant: Tenant, runtimeId: string): LiveRuntime | null;
  list(tenant: Tenant, query: RuntimeQuery): RuntimePage;
  /** Whether it signs for this tenant: for the deployment's own alone. Others' operators get no proof and no join token. */
  signsFor(tenant: Tenant): boolean;
}

export function createAuthority(options: AuthorityOptions): Authority {
  const { gate, keys, home, store, clock, issuer } = options;
  const identity = identityOf(keys, options.host);
  const { subject } = identity;
  const cursors = createCursors(keys.automation);
  const outstanding = createOutstanding(store);
  const settings = createSettings(store, clock);
  const registrar = createRegistrar({ ...options, subject });
  const stops = createStops(options);
  const issueProof = createIssuer({ ...options, identity });
  const ownTrust = () => createTrust([{ ...home, keys: [{ x: toBase64url(publicKeyOf(issuer())) }] }]);
  const shared = { home, gate, store, clock, issueProof, outstanding };
  const epochOf = (id: string) => gate.runtime(home.org, home.env, id)?.taint_epoch ?? null;
  const joinTokens = createJoinTokens({ home, store, clock, fencedAt: options.fencedAt ?? null, epochOf });
  return {
    subject,
    settings,
    routesOf: ({ org, env }) => options.routes().filter((route) => route.org === org && route.env === env),
    joinTokens,
    ...registrar,
    ...stops,
    ...createResumes({ store, gate, clock, withdrawn: registrar.withdrawn, stops }),
    issueProof,
    issue: createIssueAs({ ...shared, settings }),
    renew: createRenewer({ ...shared, trust: options.trust ?? ownTrust }),
    join: createJoin({ joinTokens, registrar, issueProof, outstanding, home, epochOf }),
    approve: createApprove(shared),
    killBelow: createKillBelow(gate, stops),
    detail: createDetail({ gate, store, outstanding, clock, shared: options.shared ?? (() => null) }),
    find: ({ org, env }, runtimeId) => gate.runtime(org, env, runtimeId),
    list: (tenant, query) => listRuntimes(gate, cursors, tenant, query),
    signsFor: (tenant) => sameTenant(tenant, home),
  };
}
