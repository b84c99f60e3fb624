import { hmacSha256, verifyEd25519 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { type SignIn, signInBytes } from '../proof/sign-in.ts';
import type { StoredDocument, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import type { Challenges } from './challenge.ts';
import { isMoved, retrying } from './changing.ts';
import type { Operator } from './operators.ts';
import { notFound, Refusal } from './refusal.ts';
import { type Member, operatorOf, type Roster } from './roster.ts';
import { digestOf, newId, sameText, type Tokens } from './token.ts';

/** What signed in, for people who look through the list. */
export interface Client {
  readonly address: string;
  /** As it calls itself; made harmless. */
  readonly agent: string;
}

/** Times in milliseconds. */
interface Kept {
  /** Stays the same while the secret changes. */
  readonly session_id: string;
  readonly operator_id: string;
  /** The site key that signed in. */
  readonly key: string;
  readonly client: Client;
  readonly created_at: number;
  readonly rotated_at: number;
  /** To a minute. */
  readonly seen_at: number;
  /** Another secret has taken its place; it lives on for requests that were under way. */
  readonly superseded: boolean;
}

export interface Session extends Pick<Kept, 'operator_id' | 'client' | 'created_at' | 'seen_at'> {
  readonly id: string;
  readonly expires_at: number;
}

/** A session with what the browser keeps of it. `csrf` goes into a header, `secret` into the cookie. */
export interface Opened {
  readonly operator: Operator;
  readonly session: Session;
  readonly secret: string;
}

export interface Known {
  readonly operator: Operator;
  /** The secret to use from now on, where it has just changed. */
  readonly renewed: string | null;
}

export interface Sessions {
  /**
   * Signs an operator in, once by each challenge. `before`: the secret of a session that this one replaces, if the browser has one. No secret that
   * a client brings is ever taken over, so that nobody can be made to sign in to another's session.
   *
   * Refusal: auth_required, the same whether the operator is unknown, the key is not his, or the signature does not hold.
   */
  open(
    asked: Omit<SignIn, 'expires_at'>,
    signature: string,
    client: Client,
    before: string | null,
  ): Promise<Opened>;
  /** Null: none of ours, expired, idle too long, revoked; or its operator or his key is gone. */
  authenticate(secret: string): Promise<Known | null>;
  /** What unsafe requests of this session must bring in a header. */
  csrfOf(sessionId: string): string;
  csrfHolds(sessionId: string, token: string): boolean;
  find(tenant: Tenant, id: string): Promise<Session | null>;
  /** Of everybody, or of one operator. A page may be short. */
  list(
    tenant: Tenant,
    operatorId: string | null,
    page: { readonly cursor?: string; readonly limit: number },
  ): Promise<{ readonly sessions: readonly Session[]; readonly next_cursor: string | null }>;
  /** Ends a session of the caller's, or of anybody where he may remove operators. Refusal: not_found. */
  revoke(caller: Operator, id: string): Promise<void>;
}

export interface SessionsOptions {
  readonly store: Pick<Store, 'getDocument' | 'putDocument' | 'listDocuments' | 'removeDocument'>;
  readonly roster: Roster;
  readonly challenges: Challenges;
  readonly tokens: Tokens;
  /** As for API keys. Milliseconds. */
  readonly validFrom: number;
  /** Shared by the control planes of a deployment. */
  readonly secret: Uint8Array;
  readonly clock: () => number;
  readonly onError: (error: unknown, doing: string) => void;
}

const KIND = 'session';
export const SESSION_LIFE = { idle_ms: 1_800_000, absolute_ms: 43_200_000, rotated_ms: 900_000 } as const;
/** For requests that were sent before the browser had the new cookie. */
const GRACE_MS = 30_000;
const SEEN_NOTED_MS = 60_000;
const PAGE = 1000;

export function createSessions(options: SessionsOptions): Sessions {
  const { store, roster, challenges, tokens, validFrom, secret: mac, clock, onError } = options;

  async function put(tenant: Tenant, kept: Kept): Promise<{ secret: string; document: StoredDocument }> {
    const secret = tokens.make('');
    const document = {
      kind: KIND,
      id: digestOf(secret),
      org: tenant.org,
      env: tenant.env,
      version: 0,
      expires_at: endOf(kept),
      body: kept,
    };
    const version = await store.putDocument(document);
    return { secret, document: { ...document, version } };
  }

  /**
   * The new secret is there before the old one is given up: of two requests that renew at once only one can give it up,
   * and where the session was revoked in between, nobody can.
   */
  async function renew(document: StoredDocument, kept: Kept): Promise<string | null> {
    const now = clock();
    let next: Awaited<ReturnType<typeof put>> | null = null;
    try {
      next = await put(document, { ...kept, rotated_at: now, seen_at: now });
      const expires_at = Math.min(now + GRACE_MS, document.expires_at ?? now);
      await store.putDocument({ ...document, expires_at, body: { ...kept, superseded: true } });
      return next.secret;
    } catch (error) {
      // A store that cannot write must not keep a signed-in operator from a kill.
      if (!isMoved(error)) onError(error, 'a session goes on under its old secret');
      if (next !== null) await store.removeDocument(next.document).catch(() => undefined);
      return null;
    }
  }

  /** Not awaited. One that is lost to another writer is that one's to note. */
  function noteSeen(document: StoredDocument, kept: Kept): void {
    const seen: Kept = { ...kept, seen_at: clock() };
    store.putDocument({ ...document, expires_at: endOf(seen), body: seen }).catch((error: unknown) => {
      if (!isMoved(error)) onError(error, 'the use of a session could not be noted');
    });
  }

  async function* all(tenant: Tenant): AsyncGenerator<StoredDocument> {
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await store.listDocuments(KIND, tenant, { cursor, limit: PAGE });
      yield* page.documents;
      cursor = page.next_cursor;
    }
  }

  async function end(tenant: Tenant, sessionId: string): Promise<void> {
    await retrying(async () => {
      for await (const document of all(tenant)) {
        if ((document.body as Kept).session_id === sessionId) await store.removeDocument(document);
      }
    });
  }

  async function signer(signIn: SignIn, signature: string): Promise<Member> {
    const key = fromBase64url(signIn.key) ?? new Uint8Array();
    const bytes = fromBase64url(signature) ?? new Uint8Array();
    const signed = verifyEd25519(bytes, signInBytes(signIn), key);
    const member = signed ? await roster.bySubject(signIn, signIn.subject) : null;
    if (member?.keys.includes(signIn.key)) return member;
    throw new Refusal(
      'auth_required',
      'this signature is of no operator here: org, env, subject, key or statement differ',
    );
  }

  async function find(tenant: Tenant, id: string): Promise<Session | null> {
    for await (const document of all(tenant)) {
      const kept = document.body as Kept;
      if (kept.session_id === id && !kept.superseded) return sessionOf(document);
    }
    return null;
  }

  return {
    find,

    async open(asked, signature, client, before) {
      const expires_at = challenges.check(asked.challenge, asked.origin);
      const signIn = { ...asked, expires_at };
      const member = await signer(signIn, signature);
      await challenges.spend(asked.challenge, expires_at);
      const now = clock();
      const { secret, document } = await put(signIn, {
        session_id: newId('ses_'),
        operator_id: member.id,
        key: signIn.key,
        client,
        created_at: now,
        rotated_at: now,
        seen_at: now,
        superseded: false,
      });
      const old = before === null ? null : await store.getDocument(KIND, digestOf(before));
      if (old !== null) await end(old, (old.body as Kept).session_id);
      const session = sessionOf(document);
      return { operator: operatorOf(member, signIn, { kind: 'session', id: session.id }), session, secret };
    },

    async authenticate(secret) {
      const document = await store.getDocument(KIND, digestOf(secret));
      if (document === null) return null;
      const kept = document.body as Kept;
      if (kept.created_at < validFrom) return null;
      const member = await roster.find(document, kept.operator_id);
      if (!member?.keys.includes(kept.key)) return null;
      const operator = operatorOf(member, document, { kind: 'session', id: kept.session_id });
      if (kept.superseded) return { operator, renewed: null };
      const now = clock();
      if (now - kept.rotated_at >= SESSION_LIFE.rotated_ms)
        return { operator, renewed: await renew(document, kept) };
      if (now - kept.seen_at >= SEEN_NOTED_MS) noteSeen(document, kept);
      return { operator, renewed: null };
    },

    csrfOf: csrf,
    csrfHolds: (sessionId, token) => sameText(csrf(sessionId), token),

    async list(tenant, operatorId, page) {
      const { documents, next_cursor } = await store.listDocuments(KIND, tenant, page);
      const wanted = documents.filter(({ body }) => {
        const { operator_id, superseded } = body as Kept;
        return !superseded && (operatorId === null || operator_id === operatorId);
      });
      return { sessions: wanted.map(sessionOf), next_cursor };
    },

    async revoke(caller, id) {
      const session = await find(caller, id);
      if (session === null || (session.operator_id !== caller.id && !caller.may.has('operators.write')))
        throw notFound('session');
      await end(caller, id);
    },
  };

  function csrf(sessionId: string): string {
    return toBase64url(hmacSha256(mac, new TextEncoder().encode(`lemma/csrf/v1\n${sessionId}`)));
  }
}

function endOf({ created_at, seen_at }: Kept): number {
  return Math.min(seen_at + SESSION_LIFE.idle_ms, created_at + SESSION_LIFE.absolute_ms);
}

function sessionOf({ expires_at, body }: StoredDocument): Session {
  const { session_id, operator_id, client, created_at, seen_at } = body as Kept;
  return { id: session_id, operator_id, client, created_at, seen_at, expires_at: expires_at ?? 0 };
}
