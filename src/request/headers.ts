import { hasParam, parseDictionary, StructuredFieldError } from '../crypto/structured-field.ts';
import { Denial } from '../reason.ts';
import { authorityOf } from '../schema/origin.ts';
import {
  type AuthzRequest,
  type HeaderLine,
  POP_TAG,
  type Presented,
  type PresentedPop,
} from '../schema/request.ts';
import { OVERRIDE_HEADERS } from '../schema/route.ts';

/** Decoded size that a credential may have, bytes; inclusive. */
const MAX_CREDENTIAL_BYTES = 16 * 1024;

/** Headers that let a client say another method or path than the one it sends. */
const OVERRIDES = OVERRIDE_HEADERS.map((name) => name.toLowerCase());

const BEARER = /^bearer[ \t]+lm_at_/i;

/** Every line of a header, in order. `name` in lower case. */
export function linesOf(headers: readonly HeaderLine[], name: string): string[] {
  const lines: string[] = [];
  for (const line of headers) if (line[0] === name) lines.push(line[1]);
  return lines;
}

/** Whether it asks for another protocol on its connection (RFC 9110, section 7.8). */
export function asksForUpgrade(headers: readonly HeaderLine[]): boolean {
  return linesOf(headers, 'upgrade').some((value) => value !== '');
}

/** Lines joined as RFC 9110 section 5.3 does; null when the header is absent. */
export function joined(headers: readonly HeaderLine[], name: string): string | null {
  const lines = linesOf(headers, name);
  return lines.length === 0 ? null : lines.join(', ');
}

/** Step 1: a credential header whose decoded size is over 16 KiB. */
export function checkSizes(headers: readonly HeaderLine[]): void {
  for (const [name, value] of headers) {
    if (name !== 'x-lemma-credential' && name !== 'x-lemma-proof') continue;
    const bytes = Math.floor((3 * value.length) / 4);
    if (bytes > MAX_CREDENTIAL_BYTES) {
      throw new Denial('payload_too_large', `${name} holds ${bytes} bytes, at most ${MAX_CREDENTIAL_BYTES}`, {
        bytes,
      });
    }
  }
}

/**
 * Step 2: what the request carries to authenticate itself, once no header can be read in two ways.
 * `permitted` are the override headers that the route map lets pass. Throws header_ambiguous, credential_ambiguous.
 */
export function readCredentials(request: AuthzRequest, permitted: readonly string[]): Presented {
  const { headers, ambiguous } = request;
  if (ambiguous !== undefined) throw new Denial('header_ambiguous', ambiguous);
  checkSingle(headers);
  checkHosts(request);
  for (const name of OVERRIDES) {
    if (!permitted.includes(name) && linesOf(headers, name).length > 0) {
      throw new Denial('header_ambiguous', `${name} is not permitted by the route map`, { header: name });
    }
  }
  return present(headers);
}

function checkSingle(headers: readonly HeaderLine[]): void {
  for (const name of ['x-lemma-credential', 'x-lemma-proof', 'x-lemma-pop']) {
    const lines = linesOf(headers, name);
    if (lines.length > 1) throw twice(name);
    // A PoP is a dictionary: its commas are its own, and a repeated member is found when it is read.
    if (name !== 'x-lemma-pop' && lines[0]?.includes(',')) throw twice(name);
  }
  if (legacyTokens(headers).length > 1) throw twice('authorization');
}

function twice(header: string): Denial {
  return new Denial('header_ambiguous', `${header} more than once`, { header });
}

function legacyTokens(headers: readonly HeaderLine[]): string[] {
  return linesOf(headers, 'authorization').flatMap(legacyTokensIn);
}

/** Each `Bearer lm_at_…` in a line of Authorization, which a proxy may have joined of several. */
export function legacyTokensIn(line: string): string[] {
  return line
    .split(',')
    .map((part) => part.trim())
    .filter((part) => BEARER.test(part));
}

function checkHosts(request: AuthzRequest): void {
  const named = [
    request.host,
    ...linesOf(request.headers, ':authority'),
    ...linesOf(request.headers, 'host'),
  ];
  const hosts = new Set(named.map((host) => authorityOf(request.scheme, host)));
  if (hosts.size > 1) {
    throw new Denial('header_ambiguous', ':authority, host and the request disagree', { hosts: [...hosts] });
  }
}

function present(headers: readonly HeaderLine[]): Presented {
  const credential = linesOf(headers, 'x-lemma-credential')[0] ?? '';
  const proof = linesOf(headers, 'x-lemma-proof')[0] ?? '';
  const token = legacyTokens(headers)[0] ?? '';
  const given = (
    [
      ['credential', credential],
      ['proof', proof],
      ['token', token.replace(/^bearer[ \t]+/i, '')],
    ] as const
  ).filter(([, value]) => value !== '');
  if (given.length > 1) {
    throw new Denial('credential_ambiguous', `carries ${given.map(([kind]) => kind).join(' and ')}`);
  }
  const pop = presentedPop(headers);
  const [kind, value] = given[0] ?? (['none', ''] as const);
  if (pop !== null && kind !== 'proof')
    throw new Denial('credential_ambiguous', 'a PoP without X-Lemma-Proof');
  return { kind, value, pop };
}

function presentedPop(headers: readonly HeaderLine[]): PresentedPop | null {
  const own = linesOf(headers, 'x-lemma-pop')[0] ?? '';
  const input = joined(headers, 'signature-input') ?? '';
  const rfc9421 = hasOurLabel(input);
  if (own !== '' && rfc9421) throw new Denial('credential_ambiguous', 'both forms of PoP');
  if (own !== '') return { form: 'lemma', value: own };
  return rfc9421 ? { form: 'rfc9421', input, signature: joined(headers, 'signature') ?? '' } : null;
}

/** Labels with another tag are somebody else's. What can't be read is ours when it names our tag, and fails later. */
function hasOurLabel(signatureInput: string): boolean {
  if (!signatureInput.includes(POP_TAG)) return false;
  try {
    return parseDictionary(signatureInput).some((entry) => hasParam(entry, 'tag', POP_TAG));
  } catch (error) {
    if (error instanceof StructuredFieldError) return true;
    throw error;
  }
}
