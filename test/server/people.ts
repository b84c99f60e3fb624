import assert from 'node:assert/strict';
import type { FastifyInstance } from 'fastify';
import { publicKeyOf, sha256 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { operatorSeed, subjectOf } from '../../src/proof/ppid.ts';
import { signSignIn } from '../../src/proof/sign-in.ts';
import { AUTH } from './support.ts';

export const ORIGIN = 'http://localhost:8080';
/** What a browser at the site sends with each request. */
export const BROWSER = { host: 'localhost:8080', origin: ORIGIN, 'sec-fetch-site': 'same-origin' };
const SESSION = '/api/wallet/session';

/** A wallet, and who it is at this site. */
export interface Person {
  readonly seed: Uint8Array;
  readonly subject: string;
  readonly key: string;
}

export function person(name: string, site = 'localhost', n = 0): Person {
  const root = sha256(new TextEncoder().encode(name));
  const seed = operatorSeed(root, site, n);
  return { seed, subject: subjectOf(root, site), key: toBase64url(publicKeyOf(seed)) };
}

/** Makes somebody an operator, as the owner of the deployment. */
export async function join(app: FastifyInstance, who: Person, over: object = {}, headers: object = AUTH) {
  const payload = { name: 'somebody', subject: who.subject, keys: [who.key], role: 'operator', ...over };
  const response = await app.inject({
    method: 'POST',
    url: '/api/wallet/operators',
    headers: { ...headers },
    payload,
  });
  assert.equal(response.statusCode, 200, response.body);
  return response.json().operator as { readonly id: string; readonly permissions: string[] };
}

/** A sign-in that is right, but for what a test changes of what is signed, or of what is sent. */
export async function askToSignIn(
  app: FastifyInstance,
  who: Person,
  signed: object = {},
  sent: object = {},
  headers: object = {},
) {
  const url = `${SESSION}/challenge`;
  const given = (await app.inject({ method: 'POST', url, headers: BROWSER })).json();
  const { challenge, expires_at, org, env } = given;
  const statement = {
    origin: ORIGIN,
    org,
    env,
    subject: who.subject,
    key: who.key,
    challenge,
    expires_at,
    ...signed,
  };
  const signature = signSignIn(statement, who.seed);
  const payload = { subject: who.subject, key: who.key, challenge, signature, ...sent };
  return app.inject({ method: 'POST', url: SESSION, headers: { ...BROWSER, ...headers }, payload });
}

/** Headers of a browser that is signed in. */
export interface SignedIn {
  readonly secret: string;
  readonly session: string;
  readonly reading: Record<string, string>;
  readonly writing: Record<string, string>;
}

export async function signIn(app: FastifyInstance, who: Person, tenant: object = {}): Promise<SignedIn> {
  const response = await askToSignIn(app, who, tenant, tenant);
  assert.equal(response.statusCode, 200, response.body);
  const secret = secretIn(response.headers['set-cookie']);
  const { csrf_token, session } = response.json();
  return { secret, session: session.id, ...headersOf(secret, csrf_token) };
}

export function headersOf(secret: string, csrf: string) {
  const reading = { ...BROWSER, cookie: `__Host-lemma-session=${secret}` };
  return { reading, writing: { ...reading, 'x-csrf-token': csrf } };
}

export function secretIn(setCookie: unknown): string {
  const found = /^__Host-lemma-session=([^;]*);/.exec(String(setCookie))?.[1];
  assert.ok(found !== undefined, `no session in ${String(setCookie)}`);
  return found;
}
