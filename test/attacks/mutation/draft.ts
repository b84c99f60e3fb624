import { sha256, signEd25519 } from '#runtime';
import { toBase64url } from '../../../src/crypto/base64url.ts';
import {
  type InnerList,
  serializeDictionary,
  serializeInnerList,
  serializeItem,
} from '../../../src/crypto/structured-field.ts';
import { signatureBase } from '../../../src/proof/signature-base.ts';
import type { ReasonCode } from '../../../src/reason.ts';
import type { Lemma } from '../../../src/schema/lemma.ts';
import { authorityOf } from '../../../src/schema/origin.ts';
import {
  credential,
  type Key,
  keyNamed,
  keys,
  link,
  NOW,
  type Type,
  type WireRequest,
} from '../../support/kit.ts';
import type { Random } from '../../support/random.ts';

/** A link that is still to be signed. `signWith`: another key than the one that `signer` names. */
export interface Spec {
  readonly type: Type;
  signer: Key;
  holder: Key;
  signWith?: Key;
  fields: Record<string, unknown> & { claims?: Record<string, unknown> };
}

export type Form = 'credential' | 'pop' | 'rfc9421';

/** What a PoP will say. */
export interface PopSpec {
  components: string[];
  created: number;
  nonce: string;
  /** Parameters in their order; a value beside the usual one replaces it, null takes it away. */
  order: string[];
  more: Record<string, string>;
  without: string[];
  keyid: string | null;
  signer: Key | null;
  /** What is signed instead of what is sent. */
  signed: Partial<Pick<WireRequest, 'method' | 'host' | 'path'>>;
  /** Bytes whose digest is sent instead of the body's. */
  digestOf: string | null;
}

/** A request in the making, from what is to be signed to what goes over the wire. */
export interface Draft {
  readonly base: Base;
  specs: Spec[];
  form: Form;
  pop: PopSpec;
  /** Text of the body, before it is signed. */
  text: string | null;
  wire: { method: string; host: string; path: string; headers: [string, string][]; body: string | null };
}

/** What is made on the way, for operators of each stage. */
export interface Stages {
  draft: Draft;
  links: Record<string, unknown>[];
  json: string;
  value: string;
  popText: string;
}

/** A number below a bound. */
export type Choose = Random;

/**
 * One way to change a request. `keeps`: it must still be allowed; `breaks`: it must be denied, alone with one of `codes`.
 * `apply` changes the stage's part; false, having changed nothing, where there is nothing to change.
 */
export interface Operator {
  readonly name: string;
  readonly stage: keyof Stages | 'pop' | 'wire';
  readonly effect: 'keeps' | 'breaks';
  readonly codes: readonly ReasonCode[];
  apply(stages: Stages, pick: Choose): boolean;
}

/** A request that is allowed as it stands. */
export interface Base {
  readonly name: string;
  readonly form: Form;
  readonly method: string;
  readonly path: string;
  readonly needs: string;
  readonly risk: 'low' | 'high' | 'critical';
  readonly text?: string;
  readonly delegations?: number;
  readonly run?: Spec['fields'];
  readonly runtime?: Spec['fields'];
  readonly headers?: readonly [string, string][];
}

const PATH = '/v1/documents/42';
/** Every request of one base counts towards the same run. */
const MANY = { claims: { budget: { operations: 1_000_000 } } };
const read = { method: 'GET', path: PATH, needs: 'documents.read', risk: 'low' } as const;
const write = {
  method: 'PUT',
  path: PATH,
  needs: 'documents.write',
  risk: 'high',
  text: '{"title":"x"}',
} as const;

export const BASES: readonly Base[] = [
  { ...read, name: 'a credential', form: 'credential' },
  { ...read, name: 'a credential of a run', form: 'credential', run: MANY },
  { ...read, name: 'a credential with three delegations', form: 'credential', delegations: 3 },
  {
    ...read,
    name: 'a credential with bounds',
    form: 'credential',
    method: 'HEAD',
    runtime: { claims: { bounds: { methods: ['GET', 'HEAD'], path_prefixes: ['/v1/documents'] } } },
  },
  { ...read, name: 'a PoP', form: 'pop' },
  { ...read, name: 'a PoP over a query', form: 'pop', path: `${PATH}?b=2&a=1` },
  {
    ...read,
    name: 'a PoP that the bounds ask for',
    form: 'pop',
    runtime: { claims: { bounds: { pop: true }, budget: { operations: 1_000_000 } } },
  },
  { ...read, name: 'a PoP as an RFC 9421 signature', form: 'rfc9421' },
  { ...write, name: 'a PoP over a body', form: 'pop' },
  { ...write, name: 'a PoP over a body, of a run', form: 'pop', run: MANY },
  { ...write, name: 'a signature over a body', form: 'rfc9421' },
  {
    name: 'a PoP over a critical body',
    form: 'pop',
    method: 'POST',
    path: '/v1/purge/all',
    needs: 'documents.admin',
    risk: 'critical',
    text: '{"all":true}',
    run: { ...MANY, scope: ['documents.admin'] },
  },
];

let nonces = 0;

/** A nonce of its own for each PoP. */
export function freshNonce(): string {
  nonces += 1;
  return `nonce-${String(nonces).padStart(20, '0')}`;
}

export const PARAMETERS = ['created', 'nonce', 'keyid', 'alg', 'tag'];

export function draftOf(base: Base): Draft {
  const { form, method, path, text = null, headers = [] } = base;
  const delegates = [keys.delegate, ...DELEGATES].slice(0, base.delegations ?? 1);
  const specs: Spec[] = [{ type: 'root', signer: keys.issuer, holder: keys.operator, fields: {} }];
  let signer = keys.operator;
  for (const holder of delegates) {
    specs.push({ type: 'delegation', signer, holder, fields: {} });
    signer = holder;
  }
  specs.push({ type: 'runtime', signer, holder: keys.runtime, fields: structuredClone(base.runtime ?? {}) });
  if (base.run !== undefined)
    specs.push({ type: 'run', signer: keys.runtime, holder: keys.run, fields: structuredClone(base.run) });
  return {
    base,
    specs,
    form,
    text,
    pop: {
      components: [
        '@method',
        '@authority',
        '@path',
        '@query',
        ...(text === null ? [] : ['content-digest']),
        'x-lemma-proof',
      ],
      created: NOW,
      nonce: freshNonce(),
      order: [...PARAMETERS],
      more: {},
      without: [],
      keyid: null,
      signer: null,
      signed: {},
      digestOf: null,
    },
    wire: { method, host: 'api.example.com', path, headers: headers.map((h) => [...h]), body: null },
  };
}

export const DELEGATES: readonly Key[] = [1, 2, 3].map((i) => keyNamed(`further delegate ${i}`));
export const STRANGER = keyNamed('stranger');

/** Links signed before, by all that they and those above them say. Signing is what a mutant costs most. */
const signed = new Map<string, Lemma>();
const SIGNED_AT_MOST = 5_000;

/** Signs the specs as they stand. */
export function signLinks(specs: readonly Spec[]): Lemma[] {
  const links: Lemma[] = [];
  let key = '';
  for (const { type, signer, holder, signWith, fields } of specs) {
    const named = signWith === undefined ? fields : { ...fields, issuer: signer.id };
    key += JSON.stringify([type, (signWith ?? signer).id, holder.id, named]);
    const made = signed.get(key) ?? link(type, links.at(-1) ?? null, signWith ?? signer, holder, named);
    if (signed.size >= SIGNED_AT_MOST) signed.clear();
    signed.set(key, made);
    links.push(made);
  }
  return links;
}

export function jsonOf(links: readonly unknown[]): string {
  return JSON.stringify(credential(links));
}

/** The PoP's dictionary, or the inner list and the signature of RFC 9421, as one text: `input, signature`. */
export function popTextOf({ pop, specs, wire, text, form }: Draft, value: string): string {
  const holder = pop.signer ?? specs.at(-1)?.holder ?? STRANGER;
  const { method, host, path } = { ...wire, ...pop.signed };
  const mark = path.indexOf('?');
  const values: Record<string, string | number> = {
    created: pop.created,
    nonce: pop.nonce,
    keyid: pop.keyid ?? holder.id,
    alg: 'ed25519',
    tag: 'lemma-pop',
    ...pop.more,
  };
  const names = [...pop.order, ...Object.keys(pop.more).filter((name) => !pop.order.includes(name))];
  const input: InnerList = {
    items: pop.components.map((name) => ({ type: 'string', value: name, params: [] })),
    params: names
      .filter((name) => !pop.without.includes(name))
      .map((name) => {
        const given = values[name] ?? '';
        return {
          key: name,
          value:
            typeof given === 'number' ? { type: 'integer', value: given } : { type: 'string', value: given },
        };
      }),
  };
  const base = signatureBase(input, pop.components, {
    method,
    authority: authorityOf('https', host),
    path: mark < 0 ? path : path.slice(0, mark),
    query: mark < 0 ? '?' : path.slice(mark),
    contentDigest: digestOf(pop.digestOf ?? text ?? ''),
    proof: value,
  });
  const signature = signEd25519(new TextEncoder().encode(base), holder.seed);
  const label = form === 'rfc9421' ? 'sig' : 'input';
  const bytes = serializeItem({ type: 'bytes', value: signature, params: [] });
  return form === 'rfc9421'
    ? `${label}=${serializeInnerList(input)}\n${label}=${bytes}`
    : `${serializeDictionary([{ key: 'input', value: input }])}, signature=${bytes}`;
}

function digestOf(text: string): string {
  return `sha-256=${serializeItem({ type: 'bytes', value: sha256(new TextEncoder().encode(text)), params: [] })}`;
}

/** Puts everything into the wire's headers and body. */
export function assemble({ draft, value, popText }: Stages): void {
  const { wire, form, text, pop } = draft;
  const headers: [string, string][] = [
    [form === 'credential' ? 'x-lemma-credential' : 'x-lemma-proof', value],
  ];
  if (form === 'pop') headers.push(['x-lemma-pop', popText]);
  if (form === 'rfc9421') {
    const [input = '', signature = ''] = popText.split('\n');
    headers.push(['signature-input', input], ['signature', signature]);
  }
  if (text !== null) {
    const bytes = new TextEncoder().encode(text);
    if (form !== 'credential') headers.push(['content-digest', digestOf(pop.digestOf ?? text)]);
    headers.push(['content-length', String(bytes.length)], ['content-type', 'application/json']);
    wire.body = toBase64url(bytes);
  }
  wire.headers.unshift(...headers);
}

export function wireOf({ wire }: Draft): WireRequest {
  const { body, ...rest } = wire;
  return { scheme: 'https', ...rest, ...(body === null ? {} : { body }) };
}
