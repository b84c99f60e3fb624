import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Permission } from '../../schema/access.ts';
import { ApiError, get, post, setCsrfToken } from './api.ts';
import type { Signer } from './signer.ts';

/** As `GET /api/wallet/session` answers. */
export interface SessionAnswer {
  readonly operator: {
    readonly id: string;
    readonly org: string;
    readonly env: string;
    readonly permissions: readonly Permission[];
  };
  readonly session: { readonly id: string; readonly expires_at: string } | null;
  readonly csrf_token: string | null;
}

/** Whoever looks at the console. */
export interface Me extends Pick<SessionAnswer, 'operator' | 'session'> {
  may(permission: Permission): boolean;
}

const SESSION = '/api/wallet/session';

export async function currentSession(): Promise<Me> {
  return meOf(await get<SessionAnswer>(SESSION));
}

/** Throws ApiError: `auth_required` where the server knows no such operator, and what the signer throws. */
export async function signIn(signer: Signer): Promise<Me> {
  return (await signInByOneOf([signer])).me;
}

/** By the first that the server knows: it is asked one after the other. Throws as `signIn` does, for the last of them. */
export async function signInByOneOf(
  signers: readonly Signer[],
): Promise<{ readonly me: Me; readonly by: Signer }> {
  const given = await challengeHere();
  const { challenge } = given;
  for (const [at, by] of signers.entries()) {
    const { subject, key } = by;
    const signature = await by.sign({ ...given, subject, key });
    try {
      const me = meOf(await post<SessionAnswer>(SESSION, { subject, key, challenge, signature }));
      return { me, by };
    } catch (error) {
      const unknown = error instanceof ApiError && error.code === 'auth_required';
      if (!unknown || at === signers.length - 1) throw error;
    }
  }
  throw new RangeError('signers: none was given');
}

/** What a key signs here, once. */
export async function challengeHere(): Promise<Challenge> {
  const { challenge, expires_at, origin, org, env } = await post<Challenge>(`${SESSION}/challenge`);
  // What is signed names the site as the browser has it: a page elsewhere cannot use the signature.
  if (origin !== location.origin)
    throw new Error(`This control plane is reached at ${origin}: open the console there.`);
  return { challenge, expires_at, origin, org, env };
}

export async function signOut(): Promise<void> {
  await post(`${SESSION}/sign-out`);
  setCsrfToken(null);
}

export interface Challenge {
  readonly challenge: string;
  readonly expires_at: number;
  readonly origin: string;
  readonly org: string;
  readonly env: string;
}

function meOf({ operator, session, csrf_token }: SessionAnswer): Me {
  setCsrfToken(csrf_token);
  const permissions = new Set(operator.permissions);
  return { operator, session, may: (permission) => permissions.has(permission) };
}

export const MeContext = createContext<Me | null>(null);

export function useMe(): Me {
  const me = useContext(MeContext);
  if (me === null) throw new Error('a page was shown to nobody');
  return me;
}
