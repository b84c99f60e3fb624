import type { FastifyRequest } from 'fastify';
import { Refusal } from '../authority/refusal.ts';

/** Gives the origin that people reach this control plane by, as their browser has it. Refusal: forbidden. */
export type Site = (request: FastifyRequest) => string;

/** This machine by a name or an address, with a port. */
const LOOPBACK = /^(?:localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

/**
 * `public_url`, or `localhost` at the port that was asked: browsers take a `Secure` cookie over plain HTTP from there alone
 * (Chromium and Firefox; Safari does not). No other host counts, so that a name that was rebound to this machine has no
 * site here.
 */
export function createSite(publicUrl: string | null, tls: boolean): Site {
  if (publicUrl !== null) {
    const { origin } = new URL(publicUrl);
    return () => origin;
  }
  return ({ headers }) => {
    const found = LOOPBACK.exec(headers.host ?? '');
    if (found === null)
      throw new Refusal('forbidden', 'set public_url to sign in here by another name than localhost');
    return new URL(`${tls ? 'https' : 'http'}://localhost${found[1] ?? ''}`).origin;
  };
}

/**
 * Whether a page of this site makes the request: what a cookie alone does not say. Browsers set both headers themselves;
 * an unsafe request without an Origin is none of theirs, and gets nothing by a cookie.
 *
 * Refusal: forbidden.
 */
export function requireOwnPage({ headers }: FastifyRequest, origin: string, unsafe: boolean): void {
  const from = headers['sec-fetch-site'];
  const byAddress = !unsafe && from === 'none';
  if (from !== undefined && from !== 'same-origin' && !byAddress)
    throw new Refusal('forbidden', 'this request comes from another site');
  if (unsafe && headers.origin !== origin)
    throw new Refusal('forbidden', `with a session, requests come from ${origin} (the Origin header)`);
}

/**
 * Where anybody may ask, and is counted: nobody is signed in by a page of somebody else's, and no such page uses up what
 * others at its browser's address may ask. Who is no browser says nothing of where it comes from. Refusal: forbidden.
 */
export function refuseForeignPage(request: FastifyRequest, site: Site): void {
  const { origin, 'sec-fetch-site': from } = request.headers;
  if (origin !== undefined || from !== undefined) requireOwnPage(request, site(request), true);
}
