import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Access } from '../authority/access.ts';
import { type Operator, tenantOf } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import type { Client, Session } from '../authority/session.ts';
import {
  type SessionParams,
  type SignInBody,
  sessionParamsSchema,
  signInSchema,
} from '../schema/api-access.ts';
import type { Tenant } from '../store/model.ts';
import { ACCESS_OPERATIONS } from './access-operations.ts';
import { clearSession, setSession } from './authenticate.ts';
import { sessionSecret } from './credentials.ts';
import { createFlood, sourceOf } from './flood.ts';
import type { OperatorHandler } from './guard.ts';
import { nextOf, pageOf } from './page.ts';
import { reader } from './read.ts';
import { refuseForeignPage, type Site } from './site.ts';
import { timeText } from './time.ts';

const readSignIn = reader<SignInBody>(signInSchema);
const readParams = reader<SessionParams>(sessionParamsSchema);

/** By address those of strangers that fail; and by operator and address those of who has signed in here before. */
const SIGN_INS = { burst: 20, perSecond: 0.2, everyone: { burst: 200, perSecond: 20 } } as const;
const KNOWN_AT_MOST = 4096;
const LONGEST_AGENT = 200;

export interface SessionApi {
  readonly access: Access;
  readonly site: Site;
  /** The deployment's own org and env. */
  readonly home: Tenant;
}

/**
 * How a session begins: what anybody may ask. Counted is what costs a signature and a look-up in the store, so that nobody
 * else can use up what an operator has: not a page of another site, which is turned away before; not who has no challenge of
 * ours, and a challenge is given to anybody, since it costs no more than to refuse it; not by failing at the address that an
 * operator shares, once he has signed in here since the start. (The owner's key of the command line is never counted.)
 */
export function addSignIn(app: FastifyInstance, { access, site, home }: SessionApi): void {
  const { challenges, sessions, audit } = access;
  const admit = createAdmission();
  const onRequest = async (request: FastifyRequest) => refuseForeignPage(request, site);

  app.post(ACCESS_OPERATIONS.sessionChallenge.path, { onRequest }, async (request) => {
    const origin = site(request);
    const { challenge, expires_at } = challenges.issue(origin);
    return { success: true, challenge, expires_at, origin, ...tenantOf(home) };
  });

  app.post(ACCESS_OPERATIONS.signIn.path, { onRequest }, async (request, reply) => {
    const { signature, ...body } = readSignIn(request.body);
    const asked = { ...tenantOf(home), ...body, origin: site(request) };
    challenges.check(asked.challenge, asked.origin);
    const before = sessionSecret(request.headers.cookie);
    const opened = await admit(sourceOf(request), asked, () =>
      sessions.open(asked, signature, clientOf(request), before),
    );
    const { operator, session, secret } = opened;
    const entry = { what: 'signIn', target: session.id, request_id: request.id, outcome: 'done' };
    await audit.append(operator, entry);
    setSession(reply, secret);
    return signedIn(operator, session, sessions.csrfOf(session.id));
  });
}

type Admission = <T>(source: string, who: SignInName, open: () => Promise<T>) => Promise<T>;
type SignInName = Tenant & Pick<SignInBody, 'subject' | 'key'>;

/** Refusal: rate_limited. Taken before it is tried: of many at once each would else find that nobody has failed yet. */
function createAdmission(): Admission {
  const strangers = createFlood(SIGN_INS);
  const ofKnown = createFlood(SIGN_INS);
  const known = new Set<string>();

  return async (source, { org, env, subject, key }, open) => {
    const who = `${org}/${env} ${subject} ${key}`;
    if (known.has(who)) {
      ofKnown.take(`${who} ${source}`);
      return open();
    }
    strangers.take(source);
    try {
      const opened = await open();
      if (known.size >= KNOWN_AT_MOST) known.clear();
      known.add(who);
      strangers.giveBack(source);
      return opened;
    } catch (error) {
      if (!(error instanceof Refusal)) strangers.giveBack(source);
      throw error;
    }
  };
}

/** What the signed-in may ask of sessions: their own, and others' where they may see, or remove, operators. */
export function sessionHandlers({
  sessions,
  cursors,
}: Pick<Access, 'sessions' | 'cursors'>): Record<
  'currentSession' | 'signOut' | 'listSessions' | 'revokeSession',
  OperatorHandler
> {
  return {
    async currentSession(operator) {
      const id = sessionIdOf(operator);
      const session = id === null ? null : await sessions.find(tenantOf(operator), id);
      return signedIn(operator, session, session === null ? null : sessions.csrfOf(session.id));
    },
    async signOut(operator, _request, reply) {
      const id = sessionIdOf(operator);
      if (id === null) throw new Refusal('conflict', 'there is no session to end: this was a key');
      await sessions.revoke(operator, id);
      clearSession(reply);
      return { success: true, revoked: id };
    },
    async listSessions(operator, request) {
      requirePerson(operator);
      const whose = operator.may.has('operators.read') ? null : operator.id;
      const tenant = tenantOf(operator);
      const page = pageOf(cursors, 'listSessions', tenant, request.query);
      const found = await sessions.list(tenant, whose, page);
      const next_cursor = nextOf(cursors, 'listSessions', tenant, found.next_cursor);
      return { success: true, sessions: found.sessions.map(sessionJson), next_cursor };
    },
    async revokeSession(operator, request) {
      requirePerson(operator);
      const { id } = readParams(request.params);
      await sessions.revoke(operator, id);
      return { success: true, revoked: id };
    },
  };
}

/** What an API key must not do for its operator, whatever its permissions. Refusal: forbidden. */
export function requirePerson({ by }: Operator): void {
  if (by.kind === 'session' || by.kind === 'owner_key') return;
  throw new Refusal('forbidden', 'only a signed-in operator does this, no key or token');
}

function sessionIdOf({ by }: Operator): string | null {
  return by.kind === 'session' ? by.id : null;
}

function clientOf({ socket, headers }: FastifyRequest): Client {
  const agent = (headers['user-agent'] ?? '').replaceAll(/[^\x20-\x7e]/g, '?').slice(0, LONGEST_AGENT);
  return { address: socket.remoteAddress ?? 'local', agent };
}

function signedIn(operator: Operator, session: Session | null, csrf: string | null): object {
  const { id, org, env, may, grants } = operator;
  return {
    success: true,
    operator: { id, org, env, permissions: [...may], grants },
    session: session === null ? null : sessionJson(session),
    csrf_token: csrf,
  };
}

function sessionJson({ created_at, seen_at, expires_at, ...session }: Session): object {
  return {
    ...session,
    created_at: timeText(created_at),
    seen_at: timeText(seen_at),
    expires_at: timeText(expires_at),
  };
}
