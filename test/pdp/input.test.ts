import assert from 'node:assert/strict';
import { sha256 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { serializeItem } from '../../src/crypto/structured-field.ts';
import { buildInput, type InputFacts } from '../../src/pdp/input.ts';
import { verifyChain } from '../../src/proof/chain.ts';
import { createTrust } from '../../src/proof/trust.ts';
import { bodyFacts } from '../../src/request/body.ts';
import { buildRouteMap } from '../../src/request/route-map.ts';
import type { AuthzRequest, Route } from '../../src/schema/request.ts';
import { chain, keys, NOW, ORIGIN, request, SUBJECT, type WireRequest } from '../support/kit.ts';
import { asked, registration } from './support.ts';

const route: Route = {
  id: 'documents.write',
  org: 'acme',
  env: 'prod',
  host: 'api.example.com',
  path: '/v1/documents/{id}',
  methods: ['PUT'],
  api: 'documents',
  action: 'documents.write',
  scope: ['documents.write'],
  audience: ORIGIN,
  risk: 'high',
  body: 'json',
  taint_on_response: true,
  forward_credential: false,
  mode: 'enforce',
  public: false,
  encoded_slash: 'deny',
  upgrade: 'deny',
};

const runtime = {
  ...registration('bot-1'),
  org: 'acme',
  env: 'prod',
  keys: null,
  status: 'active',
  registered_at: 5,
  taint_epoch: 3,
} as const;

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
const verified = (parts: Parameters<typeof chain>[0] = {}) => verifyChain(chain(parts), trust);
const FRESH = { age_ms: 7, source: 'local', confirmed: true, epoch: 2, seq: 9 } as const;
const POP = { created: NOW - 2, nonce: 'n', keyid: 'k', bodyCovered: true };

interface Given extends Partial<WireRequest> {
  readonly text?: string;
  readonly route?: Partial<Route>;
  readonly facts?: Partial<InputFacts>;
  readonly change?: Partial<AuthzRequest>;
}

function input({ text, route: changed = {}, facts = {}, change = {}, ...wire }: Given = {}) {
  const sent = request({
    method: 'PUT',
    ...wire,
    ...(text === undefined ? {} : { body: Buffer.from(text).toString('base64url') }),
  });
  const one = { ...asked(sent), ...change };
  const map = buildRouteMap([{ ...route, ...changed }]);
  return buildInput({
    nowMs: NOW * 1000 + 250,
    profile: 'critical',
    request: one,
    routed: map.find(one),
    routeRevision: 'rt_1',
    presented: { kind: 'proof', value: '', pop: null },
    body: bodyFacts(one),
    chain: verified(),
    pop: null,
    runtime,
    freshness: FRESH,
    budget: null,
    disclosure: { headers: [], redact: [] },
    ...facts,
  });
}

const bodyOf = (given: Given) => input(given).request.body;
const digest = (text: string) =>
  `sha-256=${serializeItem({ type: 'bytes', value: sha256(new TextEncoder().encode(text)), params: [] })}`;

describe("the policy's input", () => {
  it('has the members of the contract, each from its source', () => {
    const links = verified({ run: {} });
    const given = input({
      path: '/v1/documents/42?a=1&a=2&b=%20',
      text: '{"n":1}',
      change: { protocol: 'HTTP/2', source: { address: '::ffff:192.0.2.1', principal: 'spiffe://edge' } },
      facts: { chain: links, pop: POP, budget: { limit: 5, used: 2, lines: [], release: () => undefined } },
    });
    const plain: unknown = JSON.parse(JSON.stringify(given));
    assert.deepEqual(plain, {
      v: 1,
      now: NOW * 1000 + 250,
      profile: 'critical',
      request: {
        method: 'PUT',
        scheme: 'https',
        host: 'api.example.com',
        path: '/v1/documents/42',
        segments: ['v1', 'documents', '42'],
        query: { a: ['1', '2'], b: [' '] },
        headers: {},
        params: { id: '42' },
        protocol: 'HTTP/2',
        source: { address: '192.0.2.1', principal: 'spiffe://edge' },
        body: { state: 'complete', digest: digest('{"n":1}'), json: { n: 1 } },
      },
      route: {
        id: 'documents.write',
        api: 'documents',
        action: 'documents.write',
        scope: ['documents.write'],
        audience: ORIGIN,
        risk: 'high',
        body: 'json',
        public: false,
        taint_on_response: true,
        revision: 'rt_1',
      },
      subject: { id: SUBJECT, org: 'acme', env: 'prod', via: 'proof' },
      runtime: {
        id: 'bot-1',
        agent_id: 'bot',
        workspace_id: 'prod',
        status: 'active',
        profile: 'low',
        registered_at: 5,
        taint_epoch: 3,
      },
      proof: {
        links: links.links.map(
          ({ type, id, issuer, scope, audience, issued_at, not_before, expires_at }) => ({
            type,
            id,
            issuer,
            scope,
            audience,
            issued_at,
            not_before,
            expires_at,
          }),
        ),
        scope: ['documents.read', 'documents.write'],
        audience: [ORIGIN],
        expires_at: NOW + 600,
        intent: 'tests',
        run_id: 'job-1',
        taint_epoch: 0,
        weakest_link_age_ms: 86_400_250,
        pop: { present: true, age_ms: 2_250, body_covered: true },
      },
      freshness: FRESH,
      budget: { limit: 5, used: 2 },
      legacy: { token: false, age_ms: 0 },
    });
  });

  it('has neither runtime nor proof nor budget where there are none', () => {
    const { runtime, proof, budget, subject } = input({ facts: { chain: null, runtime: null } });
    assert.deepEqual(
      { runtime, proof, budget, subject },
      {
        runtime: null,
        proof: null,
        budget: null,
        subject: { id: null, org: 'acme', env: 'prod', via: 'none' },
      },
    );
  });

  it('says that a bearer credential brought the subject', () => {
    const presented = { kind: 'credential', value: '', pop: null } as const;
    assert.equal(input({ facts: { presented } }).subject.via, 'credential');
  });

  it('says of a route without a proof that nothing brought a subject', () => {
    const presented = { kind: 'none', value: '', pop: null } as const;
    assert.equal(input({ facts: { presented } }).subject.via, 'none');
  });

  it('says whom an enforcement point asserts, and on a public route nobody', () => {
    const facts = { chain: null, runtime: null } as const;
    const change = { asserted: { by: 'edge', id: 'somebody', tenant: null } };
    const of = (route: Partial<Route>) => {
      const { id, via } = input({ facts, change, route }).subject;
      return [id, via];
    };
    assert.deepEqual(of({}), ['somebody', 'asserted']);
    assert.deepEqual(of({ public: true }), [null, 'none']);
  });

  it('shows what AuthZEN was asked', () => {
    const authzen = { subject: { id: 'a' }, action: {}, resource: {}, context: {} };
    assert.deepEqual(input({ change: { authzen } }).authzen, authzen);
  });

  it('says that a legacy token came, and how old it is', () => {
    const by = (issued_at: number) => {
      const token = { id: 't', issuer: 'k', issued_at, not_before: issued_at, expires_at: NOW + 60 };
      return input({ facts: { chain: { ...verified(), token } } }).legacy;
    };
    assert.deepEqual(by(NOW - 3), { token: true, age_ms: 3_250 });
    assert.deepEqual(by(NOW + 20), { token: true, age_ms: 0 });
  });

  for (const [address, shown] of [
    ['::FFFF:203.0.113.255', '203.0.113.255'],
    ['::ffff:203.0.113.255.9', '::ffff:203.0.113.255.9'],
    ['1::ffff:203.0.113.7', '1::ffff:203.0.113.7'],
    ['2001:db8::1', '2001:db8::1'],
  ] as const) {
    it(`shows the source ${address} as ${shown}`, () => {
      assert.equal(input({ change: { source: { address, principal: '' } } }).request.source.address, shown);
    });
  }

  it('has the stricter profile of the registration and the proof', () => {
    const proven = (profile: string) => verified({ runtime: { claims: { profile } } });
    const of = (registered: 'low' | 'high', profile: string) =>
      input({ facts: { runtime: { ...runtime, profile: registered }, chain: proven(profile) } }).runtime
        ?.profile;
    assert.deepEqual([of('low', 'high'), of('high', 'low'), of('low', 'low')], ['high', 'high', 'low']);
  });

  it('has the registered profile where there is no proof', () => {
    const facts = { chain: null, runtime: { ...runtime, profile: 'high' } } as const;
    assert.equal(input({ facts }).runtime?.profile, 'high');
  });

  it('has the intent of the last delegation', () => {
    const links = chain();
    const [, first] = links;
    assert.ok(first?.type === 'delegation');
    const second = { ...first, claims: { intent: 'narrower' } };
    const two = { ...verified(), delegations: [first, second] };
    assert.equal(input({ facts: { chain: two } }).proof?.intent, 'narrower');
  });

  it('names no run where none is', () => {
    const { proof } = input();
    assert.equal(proof !== null && 'run_id' in proof, false);
  });

  it('says that no PoP came', () => {
    assert.deepEqual(input().proof?.pop, { present: false, age_ms: 0, body_covered: false });
  });

  it('gives no age below nothing, to a PoP or a link made ahead of this clock', () => {
    const ahead = { issued_at: NOW + 20 };
    const proof = input({
      facts: {
        pop: { ...POP, created: NOW + 20 },
        chain: verified({ root: ahead, delegation: ahead, runtime: ahead }),
      },
    }).proof;
    assert.deepEqual([proof?.pop.age_ms, proof?.weakest_link_age_ms], [0, 0]);
  });

  describe('of a body', () => {
    it('that is none says so', () => {
      assert.deepEqual(bodyOf({ headers: [['content-length', '0']] }), { state: 'none' });
    });
    it('that is none shows no digest of it on a route that asks', () => {
      const facts = { body: { state: 'none', bytes: new Uint8Array() } } as const;
      assert.deepEqual(bodyOf({ facts }), { state: 'none' });
    });
    it('that was not seen says so', () => {
      assert.deepEqual(bodyOf({ headers: [['content-length', '9']] }), { state: 'unseen' });
    });
    it('of which the route asks nothing shows nothing', () => {
      assert.deepEqual(bodyOf({ text: '{}', route: { body: 'none' } }), { state: 'complete' });
    });
    it('of which the route asks the digest shows that', () => {
      assert.deepEqual(bodyOf({ text: '{}', route: { body: 'digest' } }), {
        state: 'complete',
        digest: digest('{}'),
      });
    });
    it('in the identity encoding shows its JSON', () => {
      for (const encoding of ['identity', 'Identity', ''])
        assert.deepEqual(bodyOf({ text: '[1]', headers: [['content-encoding', encoding]] }).json, [1]);
    });

    const depth = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
    const unread: [name: string, given: Given][] = [
      ['is compressed', { text: '{}', headers: [['content-encoding', 'gzip']] }],
      ['has a key twice', { text: '{"a":1,"a":2}' }],
      ['has a number that is not exact', { text: '{"a":9007199254740993}' }],
      ['is no JSON', { text: '{' }],
      ['is 65 deep', { text: depth(65) }],
    ];
    for (const [name, given] of unread) {
      it(`that ${name} shows no JSON, and its digest`, () => {
        assert.deepEqual(bodyOf(given), { state: 'complete', digest: digest(given.text ?? '') });
      });
    }
    it('that is 64 deep shows its JSON', () => assert.ok('json' in bodyOf({ text: depth(64) })));
    it('that is a fraction shows it', () => assert.equal(bodyOf({ text: '1.5' }).json, 1.5));
  });

  describe('of headers', () => {
    const shown = (names: readonly string[], headers: [string, string][]) =>
      input({ headers, facts: { disclosure: { headers: names, redact: [] } } }).request.headers;

    it('shows those that the bundle lists, in lower case, lines joined', () => {
      const headers: [string, string][] = [
        ['X-Team', 'a'],
        ['x-team', 'b'],
        ['x-other', 'c'],
      ];
      assert.deepEqual(shown(['X-TEAM', 'x-absent'], headers), { 'x-team': 'a, b' });
    });

    it('shows those that the route lists, beside the bundle\u2019s', () => {
      const headers: [string, string][] = [
        ['x-team', 'a'],
        ['x-tenant', 'b'],
        ['x-other', 'c'],
      ];
      const facts = { disclosure: { headers: ['x-team'], redact: [] } };
      assert.deepEqual(
        input({ headers, facts, route: { headers: ['x-tenant', 'x-team'] } }).request.headers,
        {
          'x-team': 'a',
          'x-tenant': 'b',
        },
      );
    });

    it('never shows a secret, not for a route either', () => {
      const headers: [string, string][] = [
        ['cookie', 'secret'],
        ['x_lemma_note', 'secret'],
      ];
      assert.deepEqual(
        input({ headers, route: { headers: ['cookie', 'x_lemma_note'] } }).request.headers,
        {},
      );
    });

    for (const name of [
      'authorization',
      'proxy-authorization',
      'cookie',
      'set-cookie',
      'signature',
      'signature-input',
      'x-lemma-proof',
      'X-Lemma-Note',
      'Cookie',
    ]) {
      it(`never shows ${name}`, () => assert.deepEqual(shown([name], [[name, 'secret']]), {}));
    }
  });

  describe('takes out what the bundle redacts', () => {
    const redacted = (redact: readonly string[], text = '{"card":{"number":1,"kind":"x"},"b":2}') => {
      const { query, body } = input({
        path: '/v1/documents/42?token=s&shown=1',
        text,
        facts: { disclosure: { headers: [], redact } },
      }).request;
      return JSON.parse(JSON.stringify([query, body.json])) as unknown;
    };
    const query = { token: ['s'], shown: ['1'] };
    const json = { card: { number: 1, kind: 'x' }, b: 2 };

    const rows: [path: string, result: unknown][] = [
      ['query.token', [{ shown: ['1'] }, json]],
      ['body.card.number', [query, { card: { kind: 'x' }, b: 2 }]],
      ['body.card', [query, { b: 2 }]],
      ['body.card.absent.deeper', [query, json]],
      ['body.b.deeper', [query, json]],
      ['headers.token', [query, json]],
      ['headers.card', [query, json]],
      ['query', [query, json]],
      ['', [query, json]],
    ];
    for (const [path, result] of rows) it(`at "${path}"`, () => assert.deepEqual(redacted([path]), result));

    it('at each of several paths', () => {
      assert.deepEqual(redacted(['query.token', 'body.b']), [
        { shown: ['1'] },
        { card: { number: 1, kind: 'x' } },
      ]);
    });
    it('and leaves a body alone that is null', () => {
      assert.deepEqual(redacted(['body.card.number'], 'null'), [query, null]);
    });
  });
});
