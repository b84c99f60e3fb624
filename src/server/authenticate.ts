import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Access } from '../authority/access.ts';
import type { Operator, Operators } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { SESSION_LIFE } from '../authority/session.ts';
import { digestOf } from '../authority/token.ts';
import { SESSION_COOKIE, shownBy } from './credentials.ts';
import { createFlood, type Flood, sourceOf } from './flood.ts';
import { requireOwnPage, type Site } from './site.ts';

/** Finds out who calls. `unsafe`: the request may change something. Refusal: auth_required, forbidden, rate_limited. */
export type Authenticate = (
  request: FastifyRequest,
  reply: FastifyReply,
  unsafe: boolean,
) => Promise<Operator>;

/** Credentials that turned out to be none. Each costs a look-up in the store, which decisions wait for. */
const FAILURES = { burst: 30, perSecond: 1, everyone: { burst: 500, perSecond: 100 } } as const;
const DEAD_AT_MOST = 4096;
const CSRF_HEADER = 'x-csrf-token';

/**
 * The owner's key is held against its digest in memory: no flood and no store can keep him from a kill. What bears this
 * deployment's tag is looked up whatever its source has done, so that others behind its address cannot shut it out; once it
 * was found dead, it counts as a guess.
 */
export function createAuthenticate(
  operators: Operators,
  { apiKeys, sessions, tokens }: Pick<Access, 'apiKeys' | 'sessions' | 'tokens'>,
  site: Site,
  failures: Flood = createFlood(FAILURES),
): Authenticate {
  const dead = new Set<string>();

  async function lookUp<T>(
    secret: string,
    request: FastifyRequest,
    find: (secret: string) => Promise<T | null>,
  ): Promise<T> {
    const source = sourceOf(request);
    const digest = digestOf(secret);
    const suspect = dead.has(digest) || !tokens.genuine(secret);
    // Before the look-up: of many at once each would else find that nobody has failed yet.
    if (suspect) failures.take(source);
    const found = await find(secret);
    if (found !== null) {
      if (suspect) failures.giveBack(source);
      return found;
    }
    if (!suspect) failures.spend(source);
    if (dead.size >= DEAD_AT_MOST) dead.clear();
    dead.add(digest);
    throw new Refusal(
      'auth_required',
      'this credential is not known here: it may have expired, or been revoked',
    );
  }

  async function bySession(secret: string, request: FastifyRequest, reply: FastifyReply, unsafe: boolean) {
    requireOwnPage(request, site(request), unsafe);
    const { operator, renewed } = await lookUp(secret, request, sessions.authenticate);
    if (renewed !== null) setSession(reply, renewed);
    const token = request.headers[CSRF_HEADER];
    if (unsafe && !sessions.csrfHolds(operator.by.id ?? '', String(token ?? '')))
      throw new Refusal('forbidden', 'X-CSRF-Token: send the csrf_token of this session');
    return operator;
  }

  return async (request, reply, unsafe) => {
    const shown = shownBy(request);
    if (shown.kind === 'session') return bySession(shown.secret, request, reply, unsafe);
    return operators.authenticate(shown.token) ?? (await lookUp(shown.token, request, apiKeys.authenticate));
  };
}

/**
 * `Secure` also over plain HTTP on localhost: Chromium and Firefox take it there, and a cookie that goes without would be
 * anybody's on the way.
 */
export function setSession(reply: FastifyReply, secret: string): void {
  reply.header('set-cookie', cookie(secret, SESSION_LIFE.absolute_ms / 1000));
}

export function clearSession(reply: FastifyReply): void {
  reply.header('set-cookie', cookie('', 0));
}

function cookie(value: string, maxAge: number): string {
  return `${SESSION_COOKIE}=${value}; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=${maxAge}`;
}
