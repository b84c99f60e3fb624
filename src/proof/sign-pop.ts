import { publicKeyOf, randomBytes, sha256, signEd25519 } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import { type InnerList, serializeInnerList, serializeItem } from '../crypto/structured-field.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { authorityOf } from '../schema/origin.ts';
import { POP_TAG, type SignedMessage } from '../schema/request.ts';
import { signatureBase } from './signature-base.ts';

export interface PopStatement {
  readonly method: string;
  /** Absolute; its path must be in normal form (interfaces.md), or the server answers `path_ambiguous`. */
  readonly url: string;
  /** Value of X-Lemma-Proof. */
  readonly proof: string;
  readonly body?: Uint8Array;
  /** Thumbprint of the leaf key. */
  readonly keyid: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly nonce?: string;
}

export interface PopRequest extends Omit<PopStatement, 'keyid'> {
  /** The leaf key's seed, 32 bytes. */
  readonly seed: Uint8Array;
}

/** Headers of a request with PoP (proofs.md, "On the wire"): X-Lemma-Proof, X-Lemma-PoP and, for a body, Content-Digest. */
export function signPop({ seed, ...request }: PopRequest): Record<string, string> {
  const { base, headers } = preparePop({ ...request, keyid: thumbprint(publicKeyOf(seed)) });
  return headers(signEd25519(base, seed));
}

/** What is to be signed, and the headers once it is: for a key that nobody here can read. */
export function preparePop(request: PopStatement): {
  readonly base: Uint8Array;
  readonly headers: (signature: Uint8Array) => Record<string, string>;
} {
  const url = new URL(request.url);
  const hasBody = request.body !== undefined && request.body.length > 0;
  const contentDigest = hasBody
    ? `sha-256=${serializeItem({ type: 'bytes', value: sha256(request.body ?? new Uint8Array()), params: [] })}`
    : null;
  const components = [
    '@method',
    '@authority',
    '@path',
    '@query',
    ...(contentDigest === null ? [] : ['content-digest']),
    'x-lemma-proof',
  ];
  const message: Omit<SignedMessage, 'body'> = {
    method: request.method,
    authority: authorityOf(url.protocol.slice(0, -1), url.host),
    path: url.pathname,
    query: url.search === '' ? '?' : url.search,
    contentDigest,
    proof: request.proof,
  };
  const text = (value: string) => ({ type: 'string' as const, value });
  const input: InnerList = {
    items: components.map((name) => ({ ...text(name), params: [] })),
    params: [
      { key: 'created', value: { type: 'integer', value: request.created } },
      { key: 'nonce', value: text(request.nonce ?? toBase64url(randomBytes(18))) },
      { key: 'keyid', value: text(request.keyid) },
      { key: 'alg', value: text('ed25519') },
      { key: 'tag', value: text(POP_TAG) },
    ],
  };
  return {
    base: new TextEncoder().encode(signatureBase(input, components, message)),
    headers: (signature) => ({
      'x-lemma-proof': request.proof,
      'x-lemma-pop': `input=${serializeInnerList(input)}, signature=${serializeItem({ type: 'bytes', value: signature, params: [] })}`,
      ...(contentDigest === null ? {} : { 'content-digest': contentDigest }),
    }),
  };
}
