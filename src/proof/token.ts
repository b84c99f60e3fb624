import { randomBytes, signEd25519, verifyEd25519 } from '#runtime';
import { fromBase64url, toBase64url } from '../crypto/base64url.ts';
import { type Json, JsonError, readJson } from '../crypto/json.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { Denial } from '../reason.ts';
import type { Lemma } from '../schema/lemma.ts';
import { TOKEN_PREFIX, TOKEN_TTL, type TokenPayload, tokenSchema } from '../schema/token.ts';
import { checkerOf } from '../schema/validate.ts';
import { assembleChain, type TokenFacts, type VerifiedChain } from './chain.ts';
import { checkLemma, checkOrder } from './decode.ts';
import { uncoveredScope } from './scope.ts';
import { CLOCK_SKEW } from './time.ts';
import type { TrustSet } from './trust.ts';

/**
 * A legacy token: `lm_at_` + base64url(payload) + `.` + base64url(Ed25519 signature over "lemma/token/v1\n" and the
 * payload's characters as they are sent), by a key that is trusted for the roots of its org and env.
 */

/** Of a chain that is carried whole: no more than a credential of 16 KiB, which is longer. */
const MAX_CHARACTERS = 24 * 1024;
const MAX_DEPTH = 8;
const SIGNED = 'lemma/token/v1\n';
/** In the place of a link's signature, which no token holds. It verifies for nothing. */
const NO_SIGNATURE = 'A'.repeat(86);

const encoder = new TextEncoder();
const checkPayload = checkerOf<TokenPayload>(tokenSchema);

/** What the token is to say; seconds since 1970. */
export interface TokenTerms {
  readonly scope: readonly string[];
  readonly audience: readonly string[];
  readonly issued_at: number;
  readonly expires_at: number;
}

/** A verified chain as a token will stand for it, before it is signed. `terms` must lie within it, or nobody takes the token. */
export type VouchedChain = VerifiedChain & { readonly token: TokenFacts };

/** @param issuer thumbprint of the key that will sign it */
export function vouch(chain: VerifiedChain, terms: TokenTerms, issuer: string): VouchedChain {
  const { scope, audience, issued_at, expires_at } = terms;
  const not_before = Math.max(issued_at, ...chain.links.map((link) => link.not_before));
  const id = `lem_${toBase64url(randomBytes(16))}`;
  return {
    ...chain,
    leaf: { ...chain.leaf, scope, audience, expires_at } as Lemma,
    token: { id, issuer, issued_at, not_before, expires_at },
  };
}

/** `lm_at_…` */
export function signToken({ token, leaf, links }: VouchedChain, seed: Uint8Array): string {
  const statements = links.map(({ signature: _signature, ...statement }) => statement);
  const payload = { v: 1, ...token, scope: leaf.scope, audience: leaf.audience, links: statements };
  const text = toBase64url(encoder.encode(JSON.stringify(payload)));
  return `${TOKEN_PREFIX}${text}.${toBase64url(signEd25519(encoder.encode(SIGNED + text), seed))}`;
}

/**
 * The chain that a token stands for, its leaf narrowed to what the token says. Times are checked anew on each request
 * (`checkTokenTimes`). Throws Denial token_invalid.
 */
export function verifyToken(text: string, trust: TrustSet): VerifiedChain {
  const [payloadText = '', signatureText, ...more] = text.slice(TOKEN_PREFIX.length).split('.');
  if (!text.startsWith(TOKEN_PREFIX) || signatureText === undefined || more.length > 0)
    throw invalid('not of the form lm_at_<payload>.<signature>');
  if (text.length > MAX_CHARACTERS) throw invalid(`longer than ${MAX_CHARACTERS} characters`);
  const payload = readPayload(payloadText);
  const key = trust.key(payload.issuer);
  if (key === null) throw invalid('no trusted key signed it', { issuer: payload.issuer });
  const signature = fromBase64url(signatureText) ?? new Uint8Array();
  if (!verifyEd25519(signature, encoder.encode(SIGNED + payloadText), key))
    throw invalid('the signature does not hold', { issuer: payload.issuer });
  return chainOf(payload, trust);
}

/** Throws Denial token_invalid (it begins in the future), token_expired. `now` in whole seconds since 1970. */
export function checkTokenTimes({ id, not_before, issued_at, expires_at }: TokenFacts, now: number): void {
  const facts = { id, not_before, issued_at, expires_at, now };
  if (not_before > now + CLOCK_SKEW || issued_at > now + CLOCK_SKEW)
    throw new Denial('token_invalid', 'the token begins in the future', facts);
  if (now >= expires_at)
    throw new Denial('token_expired', `the token ended ${now - expires_at} s ago`, facts);
}

function readPayload(text: string): TokenPayload {
  const bytes = fromBase64url(text);
  if (bytes === null) throw invalid('the payload is not canonical base64url');
  let value: Json;
  try {
    const read = readJson(bytes, { maxDepth: MAX_DEPTH, numbers: 'integer' });
    if (read.duplicate !== null) throw invalid(`"${read.duplicate}" stands twice`);
    value = read.value;
  } catch (error) {
    if (error instanceof JsonError) throw invalid(error.message);
    throw error;
  }
  const checked = checkPayload(value);
  if (checked.ok) return checked.value;
  throw invalid(checked.problems.map(({ field, message }) => `${field}: ${message}`).join('; '));
}

/** An authority that signs what no chain of its own would bear is not believed either. */
function chainOf(payload: TokenPayload, trust: TrustSet): VerifiedChain {
  const links = linksOf(payload);
  const [root] = links;
  const leaf = links.at(-1);
  if (root?.type !== 'root' || leaf === undefined) throw invalid('the first link is not a root');
  const { org, env } = root.claims;
  for (const issuer of [payload.issuer, root.issuer])
    if (!trust.trusts(issuer, org, env)) throw invalid(`no trusted key for ${org}/${env}`, { issuer });
  if (uncoveredScope(leaf.scope, payload.scope) !== null) throw invalid('more scope than its proof has');
  if (payload.audience.some((entry) => !leaf.audience.includes(entry)))
    throw invalid('more audience than its proof has');
  if (links.some((link) => payload.expires_at > link.expires_at)) throw invalid('it outlives its proof');
  if (payload.expires_at - payload.issued_at > TOKEN_TTL.most)
    throw invalid(`it lives longer than ${TOKEN_TTL.most} s`);
  const keys = links.map((link) => fromBase64url(link.key) ?? new Uint8Array());
  const chain = assembleChain(links, root, keys.at(-1) ?? new Uint8Array(), keys.map(thumbprint));
  const { id, issuer, issued_at, not_before, expires_at, scope, audience } = payload;
  return {
    ...chain,
    leaf: { ...leaf, scope, audience, expires_at } as Lemma,
    token: { id, issuer, issued_at, not_before, expires_at },
  };
}

function linksOf({ links }: TokenPayload): Lemma[] {
  // Overwritten below: unsaid, a token that holds its own credential would be as good as another.
  const signed = links.findIndex((link) => Object.hasOwn(link, 'signature'));
  if (signed >= 0) throw invalid(`links[${signed}].signature: a token holds no signature of its proof`);
  try {
    const found = links.map((link, index) => checkLemma({ ...link, signature: NO_SIGNATURE }, index));
    checkOrder(found);
    return found;
  } catch (error) {
    if (error instanceof Denial) throw invalid(`${error.code}: ${error.message}`, error.facts);
    throw error;
  }
}

function invalid(message: string, facts: Denial['facts'] = {}): Denial {
  return new Denial('token_invalid', message, facts);
}
