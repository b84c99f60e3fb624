import { readFileSync } from 'node:fs';
import { publicKeyOf, sha256, signEd25519 } from '#runtime';
import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import { parentHash, signedBytes } from '../../src/proof/signing.ts';
import type { CredentialJson, Lemma } from '../../src/schema/lemma.ts';

/** The clock of the recorded vectors, seconds. */
export const NOW = 1_790_000_000;
export const ORIGIN = 'https://api.example.com';
export const SUBJECT = 'did:lemma:ppid_a9491f4c1bf7b0cffbadcba2db8f028e4b3f2867cb59e1f3a0bc1968f3c51242';

export interface Key {
  readonly seed: Uint8Array;
  readonly public: Uint8Array;
  readonly id: string;
}

export function keyFrom(seed: Uint8Array): Key {
  const key = publicKeyOf(seed);
  return { seed, public: key, id: thumbprint(key) };
}

/** A key of its own for each name, the same in every run. */
export function keyNamed(name: string): Key {
  return keyFrom(sha256(new TextEncoder().encode(`lemma test key ${name}`)));
}

const facts = JSON.parse(readFileSync(new URL('../vectors/bytes.json', import.meta.url), 'utf8')) as {
  keys: Record<string, { seed: string }>;
};
const known = (name: string) => keyFrom(Uint8Array.from(Buffer.from(facts.keys[name]?.seed ?? '', 'hex')));

/** The keys of the recorded vectors: `issuer` is the one that their configuration trusts. */
export const keys = {
  issuer: known('issuer'),
  operator: known('operator'),
  delegate: known('delegate'),
  runtime: known('runtime'),
  run: known('run'),
};

/** Where requests go: the origin that proofs are for, and the URL that an agent signs, which is a gateway's where one is asked. */
export interface Place {
  readonly origin: string;
  signed(request: WireRequest): string;
}

const API: Place = {
  origin: ORIGIN,
  signed: ({ scheme, host, path }) => `${scheme}://${host}${path}`,
};
let place = API;

/** What `make` makes, of links and requests, is for another place. */
export function at<T>(there: Place, make: () => T): T {
  place = there;
  try {
    return make();
  } finally {
    place = API;
  }
}

/** The origin of the place that links are made for. */
export function hereOrigin(): string {
  return place.origin;
}

type Fields = { [member: string]: unknown };
export type Type = 'root' | 'delegation' | 'runtime' | 'run';

const DEFAULTS: Record<Type, { scope: string[]; from: number; to: number; claims: Fields }> = {
  root: { scope: [], from: NOW - 86_400, to: NOW + 30 * 86_400, claims: { org: 'acme', env: 'prod' } },
  delegation: {
    scope: ['documents.*', 'site.read'],
    from: NOW - 3_600,
    to: NOW + 86_400,
    claims: { intent: 'tests' },
  },
  runtime: {
    scope: ['documents.read', 'documents.write', 'documents.admin'],
    from: NOW - 600,
    to: NOW + 3_000,
    claims: { runtime_id: 'bot-1', agent_id: 'bot', workspace_id: 'prod', profile: 'low', taint_epoch: 0 },
  },
  run: {
    scope: ['documents.read', 'documents.write'],
    from: NOW - 60,
    to: NOW + 600,
    claims: { run_id: 'job-1', budget: { operations: 100 } },
  },
};

let serial = 0;

/** A link as anybody could sign it: nothing is checked. `fields` replace or add members; undefined takes one away. */
export function link(type: Type, parent: Lemma | null, signer: Key, holder: Key, fields: Fields = {}): Lemma {
  const d = DEFAULTS[type];
  const { claims, ...rest } = fields;
  serial += 1;
  const unsigned: Fields = {
    v: 1,
    type,
    id: `lem_${toBase64url(sha256(new TextEncoder().encode(`id ${serial}`)).subarray(0, 16))}`,
    issuer: signer.id,
    subject: SUBJECT,
    key: toBase64url(holder.public),
    audience: [place.origin],
    scope: d.scope,
    issued_at: d.from,
    not_before: d.from,
    expires_at: d.to,
    ...(parent === null ? {} : { parent: hashOf(parent) }),
    claims:
      'claims' in fields && claims === undefined
        ? undefined
        : { ...d.claims, ...(claims as Fields | undefined) },
    ...rest,
  };
  for (const members of [unsigned, unsigned.claims as Fields | undefined])
    for (const [name, value] of Object.entries(members ?? {}))
      if (value === undefined) delete members?.[name];
  return sign(unsigned, signer);
}

export function sign(unsigned: Fields, signer: Key): Lemma {
  const signature = toBase64url(signEd25519(signedBytes(unsigned as unknown as Lemma), signer.seed));
  return { ...unsigned, signature } as unknown as Lemma;
}

export function hashOf(lemma: Lemma): string {
  return parentHash(signedBytes(lemma), fromBase64url(lemma.signature) ?? new Uint8Array());
}

/** Root, delegation, runtime and, where `run` is given, a run. Each part's fields can be replaced. */
export function chain(
  parts: Partial<Record<Type, Fields>> = {},
  holders: Partial<Record<Type, Key>> = {},
): Lemma[] {
  const holder = {
    root: keys.operator,
    delegation: keys.delegate,
    runtime: keys.runtime,
    run: keys.run,
    ...holders,
  };
  const root = link('root', null, keys.issuer, holder.root, parts.root);
  const delegation = link('delegation', root, holder.root, holder.delegation, parts.delegation);
  const runtime = link('runtime', delegation, holder.delegation, holder.runtime, parts.runtime);
  const links = [root, delegation, runtime];
  if (parts.run !== undefined) links.push(link('run', runtime, holder.runtime, holder.run, parts.run));
  return links;
}

export function credential(links: readonly unknown[]): CredentialJson {
  const leaf = links.at(-1) as Lemma;
  return { ...leaf, chain: links.slice(0, -1) as Lemma[] };
}

export function encode(value: unknown): string {
  return toBase64url(new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value)));
}

/** The header's value for a chain. */
export function header(links: readonly unknown[]): string {
  return encode(credential(links));
}

/** A request in the form of `vectors/requests.json`. */
export interface WireRequest {
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body?: string | null;
}

export function request(overrides: Partial<WireRequest> = {}): WireRequest {
  return {
    method: 'GET',
    scheme: 'https',
    host: 'api.example.com',
    path: '/v1/documents/42',
    headers: [],
    ...overrides,
  };
}

export function bearing(links: readonly unknown[], overrides: Partial<WireRequest> = {}): WireRequest {
  const { headers = [], ...rest } = overrides;
  return request({ ...rest, headers: [['x-lemma-credential', header(links)], ...headers] });
}

/** A request with a PoP by the leaf's key, as an honest client makes it; `change` spoils it afterwards. */
export function proving(
  links: readonly Lemma[],
  leafKey: Key,
  options: Partial<WireRequest> & {
    text?: string;
    nonce?: string;
    created?: number;
    change?: (h: Record<string, string>) => void;
  } = {},
): WireRequest {
  const { text, nonce, created = NOW, change, headers: more = [], ...overrides } = options;
  const base = request(overrides);
  const body = text === undefined ? undefined : new TextEncoder().encode(text);
  const headers = signPop({
    method: base.method,
    url: place.signed(base),
    proof: header(links),
    seed: leafKey.seed,
    created,
    ...(nonce === undefined ? {} : { nonce }),
    ...(body === undefined ? {} : { body }),
  });
  if (body !== undefined) {
    headers['content-length'] = String(body.length);
    headers['content-type'] = 'application/json';
  }
  change?.(headers);
  return {
    ...base,
    headers: [...Object.entries(headers), ...more],
    ...(body === undefined ? {} : { body: Buffer.from(body).toString('base64url') }),
  };
}

/** The PoP as RFC 9421's own fields say it, under the label `lemma`. */
export function asSignature(headers: Record<string, string>): void {
  const [, input, signature] = /^input=(.*), signature=(.*)$/.exec(headers['x-lemma-pop'] ?? '') ?? [];
  delete headers['x-lemma-pop'];
  headers['signature-input'] = `lemma=${input}`;
  headers.signature = `lemma=${signature}`;
}
