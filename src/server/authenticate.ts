import type { FastifyRequest } from 'fastify';
import type { Access } from '../authority/access.ts';
import type { Operator, Operators } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { digestOf } from '../authority/token.ts';
import { shownBy } from './credentials.ts';
import { createFlood, type Flood, sourceOf } from './flood.ts';

/** Finds out who calls. Refusal: auth_required, rate_limited. */
export type Authenticate = (request: FastifyRequest) => Promise<Operator>;

/** Credentials that turned out to be none. Each costs a look-up in the store, which decisions wait for. */
const FAILURES = { burst: 30, perSecond: 1, everyone: { burst: 500, perSecond: 100 } } as const;
const KNOWN_AT_MOST = 4096;

/**
 * The owner's key is held against its digest in memory: no flood and no store can keep him from a kill. What was a good
 * credential a while ago is looked up whatever its source has done, so that others behind its address cannot shut it out.
 */
export function createAuthenticate(
  operators: Operators,
  access: Access,
  failures: Flood = createFlood(FAILURES),
): Authenticate {
  const known = new Set<string>();

  function remember(digest: string): void {
    if (known.size >= KNOWN_AT_MOST) known.clear();
    known.add(digest);
  }

  async function lookUp(
    secret: string,
    request: FastifyRequest,
    find: () => Promise<Operator | null>,
  ): Promise<Operator> {
    const digest = digestOf(secret);
    const source = sourceOf(request);
    if (!known.has(digest)) failures.require(source);
    const operator = await find();
    if (operator !== null) {
      remember(digest);
      return operator;
    }
    known.delete(digest);
    failures.spend(source);
    throw new Refusal(
      'auth_required',
      'this credential is not known here: it may have expired, or been revoked',
    );
  }

  return async (request) => {
    const shown = shownBy(request);
    if (shown.kind === 'session') throw new Refusal('auth_required', 'sessions are not there yet');
    const owner = operators.authenticate(shown.token);
    if (owner !== null) return owner;
    return lookUp(shown.token, request, () => access.apiKeys.authenticate(shown.token));
  };
}
