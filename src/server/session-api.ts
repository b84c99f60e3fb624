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
import { requireOwnPage, type Site } from './site.ts';
import { timeText } from './time.ts';

const readSignIn = reader<SignInBody>(signInSchema);
const readParams = reader<SessionParams>(sessionParamsSchema);

/** Challenges and sign-ins together. */
const SIGN_INS = { burst: 20, perSecond: 0.2, everyone: { burst: 200, perSecond: 20 } } as const;
const LONGEST_AGENT = 200;

export interface SessionApi {
  readonly access: Access;
  readonly site: Site;
  /** The deployment's own org and env. */
  readonly home: Tenant;
}

/** How a session begins: what anybody may ask, a few times. */
export function addSignIn(app: FastifyInstance, { access, site, home }: SessionApi): void {
  const { challenges, sessions, audit } = access;
  const flood = createFlood(SIGN_INS);
  // Before the body is read: a flood costs nothing but its bytes.
  const onRequest = async (request: FastifyRequest) => {
    flood.take(sourceOf(request));
    // Nobody is signed in by a page of somebody else's.
    if (request.headers.origin !== undefined) requireOwnPage(request, site(request), true);
  };

  app.post(ACCESS_OPERATIONS.sessionChallenge.path, { onRequest }, async (request) => {
    const origin = site(request);
    const { challenge, expires_at } = challenges.issue(origin);
    return { success: true, challenge, expires_at, origin, ...tenantOf(home) };
  });

  app.post(ACCESS_OPERATIONS.signIn.path, { onRequest }, async (request, reply) => {
    const { signature, ...body } = readSignIn(request.body);
    const asked = { ...tenantOf(home), ...body, origin: site(request) };
    const before = sessionSecret(request.headers.cookie);
    const opened = await sessions.open(asked, signature, clientOf(request), before);
    const { operator, session, secret } = opened;
    const entry = { what: 'signIn', target: session.id, request_id: request.id, outcome: 'done' };
    await audit.append(operator, entry);
    setSession(reply, secret);
    return signedIn(operator, session, sessions.csrfOf(session.id));
  });
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
