import { sha256, verifyEd25519 } from '#runtime';
import {
  type DictionaryEntry,
  hasParam,
  type InnerList,
  type Item,
  parseDictionary,
  StructuredFieldError,
} from '../crypto/structured-field.ts';
import { Denial } from '../reason.ts';
import {
  POP_TAG,
  type Presented,
  type PresentedPop,
  type Route,
  type SignedMessage,
} from '../schema/request.ts';
import { boundsOf } from './bounds.ts';
import type { VerifiedChain } from './chain.ts';
import { signatureBase } from './signature-base.ts';
import { CLOCK_SKEW } from './time.ts';

/** How old a PoP may be, seconds. */
const POP_LIFE = 60;

const REQUIRED_COMPONENTS = ['@method', '@authority', '@path', '@query', 'x-lemma-proof'] as const;
const PARAMETERS = ['created', 'nonce', 'keyid', 'alg', 'tag'] as const;
const NONCE = /^[A-Za-z0-9_-]{22,88}$/;

/** A PoP that holds. `created` in seconds since 1970. */
export interface Pop {
  readonly created: number;
  readonly nonce: string;
  readonly keyid: string;
  readonly bodyCovered: boolean;
}

/**
 * Step 11 of proofs.md, in its order. Null when a bearer credential is enough. `now` in whole seconds.
 * Throws Denial: pop_required, pop_invalid, pop_stale, body_truncated, pop_body_mismatch.
 */
export function checkPop(
  chain: VerifiedChain,
  presented: Presented,
  message: SignedMessage,
  route: Pick<Route, 'body'>,
  now: number,
): Pop | null {
  const link = chain.links.findIndex((lemma) => boundsOf(lemma)?.pop === true);
  if (presented.pop === null) {
    if (presented.kind === 'proof') throw new Denial('pop_required', 'X-Lemma-Proof asks for a PoP');
    if (link >= 0) throw new Denial('pop_required', 'the bounds of a link ask for a PoP', { link });
    return null;
  }
  const signed = readPop(presented.pop);
  const pop = verifyPop(signed, chain, message);
  const age = now - pop.created;
  if (age > POP_LIFE || -age > CLOCK_SKEW) {
    throw new Denial('pop_stale', age > 0 ? `made ${age} s ago` : `made ${-age} s ahead`, {
      created: pop.created,
      now,
    });
  }
  checkBody(pop, message, route);
  return pop;
}

interface SignedPop {
  readonly input: InnerList;
  readonly signature: Uint8Array;
}

function readPop(presented: PresentedPop): SignedPop {
  return presented.form === 'lemma' ? readLemmaForm(presented.value) : readRfc9421Form(presented);
}

function readLemmaForm(value: string): SignedPop {
  const entries = dictionary(value);
  const keys = entries.map((entry) => entry.key).sort();
  if (keys.join(' ') !== 'input signature') throw invalid('must have exactly input and signature');
  return {
    input: innerList(entries.find((entry) => entry.key === 'input')),
    signature: byteSequence(entries.find((entry) => entry.key === 'signature')),
  };
}

function readRfc9421Form(presented: { input: string; signature: string }): SignedPop {
  const inputs = dictionary(presented.input);
  const ours = inputs.filter((entry) => hasParam(entry, 'tag', POP_TAG));
  const label = ours[0]?.key;
  if (ours.length !== 1 || inputs.filter((entry) => entry.key === label).length !== 1) {
    throw invalid(`exactly one label with tag="${POP_TAG}"`);
  }
  const signatures = dictionary(presented.signature).filter((entry) => entry.key === label);
  if (signatures.length !== 1) throw invalid('Signature: exactly one with the label of Signature-Input');
  return { input: innerList(ours[0]), signature: byteSequence(signatures[0]) };
}

function dictionary(text: string): DictionaryEntry[] {
  try {
    return parseDictionary(text);
  } catch (error) {
    if (error instanceof StructuredFieldError) throw invalid(error.message);
    throw error;
  }
}

function innerList(entry: DictionaryEntry | undefined): InnerList {
  if (entry === undefined || !('items' in entry.value)) throw invalid('input: not an inner list');
  return entry.value;
}

function byteSequence(entry: DictionaryEntry | undefined): Uint8Array {
  const value = entry?.value;
  if (value === undefined || 'items' in value || value.type !== 'bytes' || value.params.length > 0) {
    throw invalid('signature: not a byte sequence');
  }
  return value.value as Uint8Array;
}

function invalid(message: string): Denial {
  return new Denial('pop_invalid', message);
}

function verifyPop(signed: SignedPop, chain: VerifiedChain, message: SignedMessage): Pop {
  const components = signed.input.items.map(componentName);
  const bodyCovered = components.includes('content-digest');
  const wanted = [...REQUIRED_COMPONENTS, ...(bodyCovered ? ['content-digest'] : [])];
  if (components.length !== wanted.length || !wanted.every((name) => components.includes(name))) {
    throw invalid(`components: exactly ${wanted.join(' ')}`);
  }
  const parameters = readParameters(signed.input);
  const keyid = chain.keyids.at(-1);
  if (parameters.keyid !== keyid) throw invalid(`keyid: must be the leaf key's thumbprint, ${keyid}`);
  if (bodyCovered && message.contentDigest === null) throw invalid('content-digest is covered, and absent');
  const base = signatureBase(signed.input, components, message);
  if (!verifyEd25519(signed.signature, new TextEncoder().encode(base), chain.leafKey)) {
    throw invalid('the signature does not hold');
  }
  return { created: parameters.created, nonce: parameters.nonce, keyid: parameters.keyid, bodyCovered };
}

function componentName(item: Item): string {
  if (item.type !== 'string' || item.params.length > 0)
    throw invalid('components: strings without parameters');
  return item.value as string;
}

function readParameters(input: InnerList): { created: number; nonce: string; keyid: string } {
  const keys = input.params.map((param) => param.key);
  if (keys.length !== PARAMETERS.length || !PARAMETERS.every((name) => keys.includes(name))) {
    throw invalid(`parameters: exactly ${PARAMETERS.join(' ')}`);
  }
  const value = (key: string, type: string) => {
    const bare = input.params.find((param) => param.key === key)?.value;
    if (bare?.type !== type) throw invalid(`${key}: must be a ${type}`);
    return bare.value;
  };
  const created = value('created', 'integer') as number;
  const nonce = value('nonce', 'string') as string;
  const keyid = value('keyid', 'string') as string;
  if (!NONCE.test(nonce)) throw invalid('nonce: 22 to 88 base64url characters');
  if (value('alg', 'string') !== 'ed25519') throw invalid('alg: must be "ed25519"');
  if (value('tag', 'string') !== POP_TAG) throw invalid(`tag: must be "${POP_TAG}"`);
  return { created, nonce, keyid };
}

function checkBody(pop: Pop, message: SignedMessage, route: Pick<Route, 'body'>): void {
  const { state, bytes } = message.body;
  if (state !== 'none' && state !== 'complete' && route.body !== 'none') {
    throw new Denial('body_truncated', `the body was ${state}`, { body: state });
  }
  if (!pop.bodyCovered) {
    if (state !== 'none')
      throw new Denial('pop_body_mismatch', 'there is a body, and content-digest is not covered');
    return;
  }
  const digest = sha256Digest(message.contentDigest ?? '');
  if (digest === null) throw new Denial('pop_body_mismatch', 'Content-Digest is malformed or lacks sha-256');
  if (bytes !== null && !equalBytes(digest, sha256(bytes))) {
    throw new Denial('pop_body_mismatch', "Content-Digest is not the body's");
  }
}

/** The sha-256 member of a Content-Digest (RFC 9530), or null when malformed, repeated or absent. */
function sha256Digest(value: string): Uint8Array | null {
  let entries: DictionaryEntry[];
  try {
    entries = parseDictionary(value);
  } catch (error) {
    if (error instanceof StructuredFieldError) return null;
    throw error;
  }
  if (entries.some((entry) => 'items' in entry.value || entry.value.type !== 'bytes')) return null;
  const found = entries
    .filter((entry) => entry.key === 'sha-256')
    .map((entry) => (entry.value as Item).value);
  const [digest] = found;
  return found.length === 1 && digest instanceof Uint8Array && digest.length === 32 ? digest : null;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
