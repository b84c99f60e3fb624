import type { FastifyRequest } from 'fastify';
import { Refusal } from '../authority/refusal.ts';

/** What a caller of the control listener shows of himself. */
export type Shown =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'session'; readonly secret: string };

/** `__Host-`: only this host can have set it, over TLS (RFC 6265bis, section 4.1.3.2). */
export const SESSION_COOKIE = '__Host-lemma-session';

const HOW =
  "send the owner's key or an API key (Authorization: Bearer lm_op_… or lm_ak_…, or X-API-Key), or sign in";

/**
 * A header that was set on purpose counts before a cookie, which browsers add by themselves.
 *
 * Refusal: auth_required, where there is none, more than one, or none that can be read.
 */
export function shownBy({ headers }: FastifyRequest): Shown {
  const { authorization, 'x-api-key': apiKey } = headers;
  if (authorization !== undefined && apiKey !== undefined)
    throw new Refusal('auth_required', 'send either Authorization or X-API-Key');
  if (authorization !== undefined) {
    const token = /^Bearer +([\w-]{1,200}) *$/i.exec(authorization)?.[1];
    if (token === undefined) throw new Refusal('auth_required', HOW);
    return { kind: 'bearer', token };
  }
  if (apiKey !== undefined) {
    const token = /^ *([\w-]{1,200}) *$/.exec(String(apiKey))?.[1];
    if (token === undefined) throw new Refusal('auth_required', HOW);
    return { kind: 'bearer', token };
  }
  const secret = sessionSecret(headers.cookie);
  if (secret === null) throw new Refusal('auth_required', HOW);
  return { kind: 'session', secret };
}

/** The session's cookie, or null: there is none, it stands twice, or it holds no secret of ours. */
export function sessionSecret(cookie: string | undefined): string | null {
  const found = (cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${SESSION_COOKIE}=`));
  const value = found[0]?.slice(SESSION_COOKIE.length + 1) ?? '';
  return found.length === 1 && /^[A-Za-z0-9_-]{1,200}$/.test(value) ? value : null;
}
