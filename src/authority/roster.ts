import { keyProblem } from '#runtime';
import { fromBase64url } from '../crypto/base64url.ts';
import { InputError, type Problem } from '../reason.ts';
import type { Permission, Role } from '../schema/access.ts';
import { type AddOperatorBody, type ChangeOperatorBody, OPERATORS_AT_MOST } from '../schema/api-access.ts';
import { isOrigin } from '../schema/origin.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { sameTenant } from '../store/tenant.ts';
import { retrying } from './changing.ts';
import { type Grants, grantsWithin } from './grants.ts';
import { type Operator, OWNER_ID, type ShownBy } from './operators.ts';
import { notFound, Refusal } from './refusal.ts';
import { lacking, permissionsOf } from './roles.ts';
import { newId } from './token.ts';

/** An operator of an org and env. `keys`: Ed25519 public keys for this site, base64url. Times in milliseconds. */
export interface Member {
  readonly id: string;
  readonly name: string;
  /** `did:lemma:ppid_…` */
  readonly subject: string;
  readonly keys: readonly string[];
  readonly role: Role;
  readonly platform: boolean;
  readonly grants: Grants | null;
  readonly added_at: number;
  readonly added_by: string;
}

export interface RosterOptions {
  readonly home: Tenant;
  /** Who the embedded owner is at this site. */
  readonly owner: Pick<Member, 'subject' | 'keys'>;
  readonly store: Pick<Store, 'getDocument' | 'putDocument'>;
  readonly clock: () => number;
}

/** Who may call the control plane. Nobody grants what he lacks, or changes somebody who may more than he. */
export interface Roster {
  /** Null also for another tenant's. */
  find(tenant: Tenant, id: string): Promise<Member | null>;
  bySubject(tenant: Tenant, subject: string): Promise<Member | null>;
  list(tenant: Tenant): Promise<readonly Member[]>;
  /** Refusal: forbidden, conflict (the subject is there already, or there are too many). InputError: a key or origin that is none. */
  add(caller: Operator, body: AddOperatorBody): Promise<Member>;
  /** Refusal: not_found, forbidden, conflict (the last owner stays one). */
  change(caller: Operator, id: string, body: ChangeOperatorBody): Promise<Member>;
  /** Of the caller himself, who may have no permission to change operators. Refusal: forbidden, not_found, conflict. InputError: a key that is none. */
  setOwnKeys(caller: Operator, change: (keys: readonly string[]) => readonly string[]): Promise<Member>;
  /** What the operator could use is void from then on: sessions, API keys, device tokens. Refusal as for `change`. */
  remove(caller: Operator, id: string): Promise<void>;
}

const KIND = 'roster';

/**
 * The operators of a tenant are one document: so that two who remove each other at once cannot both be the last but one,
 * and so that a caller who was removed meanwhile does nothing more.
 */
export function createRoster({ home, owner, store, clock }: RosterOptions): Roster {
  const embedded: Member = {
    id: OWNER_ID,
    name: 'owner of the deployment',
    ...owner,
    role: 'owner',
    platform: true,
    grants: null,
    added_at: 0,
    added_by: OWNER_ID,
  };

  async function read(
    tenant: Tenant,
  ): Promise<{ readonly version: number; readonly members: readonly Member[] }> {
    const document = await store.getDocument(KIND, idOf(tenant));
    return { version: document?.version ?? 0, members: (document?.body as Member[] | undefined) ?? [] };
  }

  async function list(tenant: Tenant): Promise<readonly Member[]> {
    const { members } = await read(tenant);
    return isHome(tenant) ? [embedded, ...members] : members;
  }

  const isHome = (tenant: Tenant) => sameTenant(tenant, home);

  /** Writes what `change` makes of the members, and gives its result. */
  function edit<T>(
    caller: Operator,
    tenant: Tenant,
    change: (members: readonly Member[]) => { readonly members: readonly Member[]; readonly result: T },
  ): Promise<T> {
    return retrying(async () => {
      const { version, members } = await read(tenant);
      const own = sameTenant(tenant, caller) ? members : (await read(caller)).members;
      requireStanding(caller, own);
      const changed = change(members);
      const { org, env } = tenant;
      await store.putDocument({
        kind: KIND,
        id: idOf(tenant),
        org,
        env,
        version,
        expires_at: null,
        body: changed.members,
      });
      return changed.result;
    });
  }

  return {
    list,
    find: async (tenant, id) => (await list(tenant)).find((member) => member.id === id) ?? null,
    bySubject: async (tenant, subject) =>
      (await list(tenant)).find((member) => member.subject === subject) ?? null,

    async add(caller, body) {
      const tenant = { org: body.org ?? caller.org, env: body.env ?? caller.env };
      if (idOf(tenant) !== idOf(caller) && !caller.may.has('platform.operators'))
        throw new Refusal(
          'forbidden',
          'operators of another org or env need the permission platform.operators',
        );
      const member: Member = {
        id: newId('opr_'),
        name: body.name,
        subject: body.subject,
        keys: body.keys,
        role: body.role,
        platform: body.platform ?? false,
        grants: body.grants ?? null,
        added_at: clock(),
        added_by: caller.id,
      };
      checkMember(member);
      requireGrantable(caller, member);
      return edit(caller, tenant, (members) => {
        const known = isHome(tenant) ? [embedded, ...members] : members;
        if (known.some(({ subject }) => subject === member.subject))
          throw new Refusal('conflict', 'this subject is an operator already: change it instead');
        requireOwnKeys(known, member);
        if (members.length >= OPERATORS_AT_MOST)
          throw new Refusal('conflict', `there are ${OPERATORS_AT_MOST} operators: remove one first`);
        return { members: [...members, member], result: member };
      });
    },

    change: (caller, id, body) =>
      edit(caller, caller, (members) => {
        const before = memberOf(members, id, caller);
        const after: Member = { ...before, ...body };
        checkMember(after);
        requireGrantable(caller, before);
        requireGrantable(caller, after);
        requireOwnKeys(isHome(caller) ? [embedded, ...members] : members, after);
        const changed = members.map((member) => (member === before ? after : member));
        requireOwner(changed, caller);
        return { members: changed, result: after };
      }),

    setOwnKeys: (caller, change) =>
      edit(caller, caller, (members) => {
        const before = memberOf(members, caller.id, caller);
        const after: Member = { ...before, keys: change(before.keys) };
        checkMember(after);
        requireOwnKeys(isHome(caller) ? [embedded, ...members] : members, after);
        return { members: members.map((member) => (member === before ? after : member)), result: after };
      }),

    remove: (caller, id) =>
      edit(caller, caller, (members) => {
        const gone = memberOf(members, id, caller);
        requireGrantable(caller, gone);
        const rest = members.filter((member) => member !== gone);
        requireOwner(rest, caller);
        return { members: rest, result: undefined };
      }),
  };

  function memberOf(members: readonly Member[], id: string, tenant: Tenant): Member {
    const found = members.find((member) => member.id === id);
    if (found !== undefined) return found;
    if (id === OWNER_ID && isHome(tenant))
      throw new Refusal(
        'forbidden',
        "the deployment's owner is whoever holds operator.key: no role to change",
      );
    throw notFound('operator');
  }

  /** The embedded owner of the home tenant is always there. */
  function requireOwner(members: readonly Member[], tenant: Tenant): void {
    if (isHome(tenant) || members.some(({ role }) => role === 'owner')) return;
    throw new Refusal('conflict', 'this is the last owner: make somebody else an owner first');
  }
}

/** What a member may do here, by this credential. */
export function operatorOf(
  member: Member,
  { org, env }: Tenant,
  by: ShownBy,
  only?: readonly Permission[],
): Operator {
  const may = permissionsOf(member);
  return {
    id: member.id,
    org,
    env,
    may: only === undefined ? may : new Set(only.filter((permission) => may.has(permission))),
    grants: member.grants,
    by,
  };
}

function idOf({ org, env }: Tenant): string {
  return `${org}/${env}`;
}

/** A caller may have lost his role between his sign-in and this write. */
function requireStanding(caller: Operator, members: readonly Member[]): void {
  if (caller.id === OWNER_ID) return;
  const member = members.find(({ id }) => id === caller.id);
  if (member !== undefined && lacking(caller.may, permissionsOf(member)).length === 0) return;
  throw new Refusal('forbidden', 'your role was changed meanwhile');
}

/** Nobody makes, changes or removes an operator who may more than he. */
function requireGrantable(caller: Operator, member: Member): void {
  const beyond = lacking(permissionsOf(member), caller.may);
  if (beyond.length > 0)
    throw new Refusal('forbidden', `this takes permissions that you lack: ${beyond.join(', ')}`);
  if (!grantsWithin(member.grants, caller.grants))
    throw new Refusal('forbidden', 'grants: beyond what you may grant yourself');
}

/** One key, one operator: else a signature would not say whose it is. */
function requireOwnKeys(members: readonly Member[], { id, keys }: Member): void {
  const other = members.find((member) => member.id !== id && member.keys.some((key) => keys.includes(key)));
  if (other !== undefined) throw new Refusal('conflict', "keys: one of them is another operator's");
}

function checkMember({ keys, grants }: Member): void {
  const problems: Problem[] = keys.flatMap((key, i) => {
    const problem = keyProblem(fromBase64url(key) ?? new Uint8Array());
    return problem === null
      ? []
      : [{ field: `keys[${i}]`, message: `${problem}; give an Ed25519 public key` }];
  });
  for (const [i, audience] of (grants?.audiences ?? []).entries()) {
    if (!isOrigin(audience))
      problems.push({
        field: `grants.audiences[${i}]`,
        message: 'must be an origin in its normal form, such as https://api.example.com',
      });
  }
  if (problems.length > 0) throw new InputError(problems);
}
