import { randomBytes, sha256 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import type { BootstrapBody } from '../schema/api.ts';
import type { JoinTokenBody } from '../schema/api-runtimes.ts';
import { stricter } from '../schema/common.ts';
import { StoreConflict } from '../store/errors.ts';
import type { StoredDocument, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { checkGrants, type Grants } from './grants.ts';
import { Refusal } from './refusal.ts';

/** What a join token lets its bearer do, once. Ids may end in `*`. */
export interface JoinTerms
  extends Pick<JoinTokenBody, 'runtime_id' | 'agent_id' | 'workspace_id' | 'profile'> {
  /** The first proof, where the token brings one. */
  readonly proof: { readonly scope: string[]; readonly audience: string[]; readonly ttl_s: number } | null;
  /** Of the runtime that it is made for, at that time; null, or absent: it was not registered. */
  readonly taint_epoch?: number | null;
  /** The operator who made it. */
  readonly by: string;
  /** Milliseconds. */
  readonly created_at: number;
}

export interface JoinToken {
  /** Shown once; only its digest is kept. */
  readonly token: string;
  readonly id: string;
  /** Milliseconds. */
  readonly expires_at: number;
}

export interface JoinTokens {
  create(body: JoinTokenBody, by: string, grants: Grants | null): Promise<JoinToken>;
  /**
   * Looks a token up, and what it was made for. Refusal: auth_required (unknown, used, expired), forbidden (made for another
   * runtime). `spend` uses it up, exactly once: the second of two at once is auth_required.
   */
  redeem(
    token: string,
    body: BootstrapBody,
  ): Promise<{ readonly terms: JoinTerms; readonly id: string; spend(): Promise<void> }>;
}

const KIND = 'join_token';
const TTL_S = 3600;
const PROOF_TTL_S = 3600;

export function createJoinTokens({
  home,
  store,
  clock,
  fencedAt,
  epochOf,
}: {
  readonly home: Tenant;
  readonly store: Pick<Store, 'putDocument' | 'getDocument' | 'removeDocument' | 'appendEvent'>;
  readonly clock: () => number;
  /** When the state was restored from a backup, which does not know what was used up since; milliseconds, or null. */
  readonly fencedAt: number | null;
  /** Taint epoch of a runtime that is registered; else null. */
  readonly epochOf: (runtimeId: string) => number | null;
}): JoinTokens {
  return {
    async create(body, by, grants) {
      const { runtime_id, agent_id, workspace_id, profile = 'low', reason, ttl_s = TTL_S } = body;
      const proof =
        body.proof === undefined
          ? null
          : { ttl_s: Math.min(PROOF_TTL_S, grants?.longest_life_s ?? PROOF_TTL_S), ...body.proof };
      if (proof !== null) checkGrants(proof, grants);
      const token = `lm_jt_${toBase64url(randomBytes(32))}`;
      const digest = digestOf(token);
      const id = idOf(digest);
      const time = clock();
      const expires_at = time + ttl_s * 1000;
      const taint_epoch = epochOf(runtime_id);
      const about = { runtime_id, agent_id, workspace_id, profile, proof, taint_epoch };
      const terms: JoinTerms = { ...about, by, created_at: time };
      const payload = {
        action: 'join_token',
        id,
        by,
        for: runtime_id,
        ...(reason === undefined ? {} : { reason }),
      };
      await store.putDocument({ ...home, kind: KIND, id: digest, version: 0, expires_at, body: terms });
      await store.appendEvent({ ...home, type: 'admin', payload, time });
      return { token, id, expires_at };
    },
    async redeem(token, body) {
      const digest = digestOf(token);
      const document = await store.getDocument(KIND, digest);
      if (document === null) throw unknown();
      const terms = document.body as JoinTerms;
      if (fencedAt !== null && terms.created_at <= fencedAt) throw unknown();
      checkTerms(terms, body);
      return { terms, id: idOf(digest), spend: () => spend(document) };
    },
  };

  async function spend({ kind, id, version }: StoredDocument): Promise<void> {
    try {
      await store.removeDocument({ kind, id, version });
    } catch (error) {
      if (error instanceof StoreConflict) throw unknown();
      throw error;
    }
  }
}

function digestOf(token: string): string {
  return toBase64url(sha256(new TextEncoder().encode(token)));
}

/** For people and events: it names the token, and nobody finds the token by it. */
function idOf(digest: string): string {
  return `jt_${digest.slice(0, 12)}`;
}

function unknown(): Refusal {
  return new Refusal(
    'auth_required',
    'this join token is unknown, used or expired: ask an operator for a new one',
  );
}

function checkTerms(terms: JoinTerms, body: BootstrapBody): void {
  for (const member of ['runtime_id', 'agent_id', 'workspace_id'] as const) {
    if (!covers(terms[member], body[member])) throw madeFor(member, terms[member]);
  }
  const { profile = 'low' } = body;
  if (stricter(profile, terms.profile ?? 'low') !== profile)
    throw madeFor('profile', `${terms.profile} or stricter`);
  if (body.subject !== undefined)
    throw new Refusal('forbidden', 'subject: an operator registers for another subject');
}

function covers(pattern: string, id: string): boolean {
  return pattern.endsWith('*') ? id.startsWith(pattern.slice(0, -1)) : id === pattern;
}

function madeFor(member: string, what: string): Refusal {
  return new Refusal('forbidden', `${member}: this join token was made for ${what}`);
}
