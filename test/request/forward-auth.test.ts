import { deepEqual, equal, match } from 'node:assert/strict';
import fc from 'fast-check';
import { bodyFacts } from '../../src/request/body.ts';
import {
  type Asked,
  FORWARD_AUTH_PROXIES,
  type ForwardAuthProxy,
  toRequest,
  toResponse,
} from '../../src/request/forward-auth.ts';
import type { HeaderLine } from '../../src/schema/request.ts';
import { allowed, denied } from '../support/envoy.ts';

const TARGET = '/v1/documents/42?a=b';

/** What each proxy writes, of `PUT https://api.example.com/v1/documents/42?a=b` by 192.0.2.7. */
const WRITTEN: Record<ForwardAuthProxy, readonly HeaderLine[]> = {
  envoy: [
    ['Host', 'api.example.com'],
    ['X-Forwarded-Proto', 'https'],
  ],
  nginx: [
    ['Host', 'api.example.com'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Original-Method', 'PUT'],
    ['X-Original-URI', TARGET],
    ['X-Real-IP', '192.0.2.7'],
  ],
  traefik: [
    ['Host', '127.0.0.1:8181'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded-Method', 'PUT'],
    ['X-Forwarded-Uri', TARGET],
    ['X-Forwarded-Host', 'api.example.com'],
    ['X-Forwarded-For', '192.0.2.7'],
  ],
  caddy: [
    ['Host', 'api.example.com'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded-Method', 'PUT'],
    ['X-Forwarded-Uri', TARGET],
    ['X-Forwarded-Host', 'api.example.com'],
    ['X-Forwarded-For', '192.0.2.7'],
  ],
};

function asked(proxy: ForwardAuthProxy, over: Partial<Asked> = {}): Asked {
  const envoy = proxy === 'envoy';
  return {
    proxy,
    method: envoy ? 'PUT' : 'GET',
    target: `/forward-auth/${proxy}${envoy ? TARGET : ''}`,
    headers: WRITTEN[proxy],
    body: { bytes: new Uint8Array(), partial: false },
    ...over,
  };
}

const beside = (proxy: ForwardAuthProxy, ...lines: HeaderLine[]) =>
  toRequest(asked(proxy, { headers: [...WRITTEN[proxy], ...lines] }));
const bytes = (text: string) => ({ bytes: Buffer.from(text), partial: false });

for (const proxy of FORWARD_AUTH_PROXIES) {
  describe(`request/forward-auth toRequest of ${proxy}`, () => {
    it('reads method, scheme, host and target where the proxy writes them', () => {
      const { border, method, scheme, host, target, ambiguous } = toRequest(asked(proxy));
      deepEqual(
        { border, method, scheme, host, target, ambiguous },
        {
          border: 'forward-auth',
          method: 'PUT',
          scheme: 'https',
          host: 'api.example.com',
          target: TARGET,
          ambiguous: undefined,
        },
      );
    });

    it('reads no other proxy’s', () => {
      const own = new Set(WRITTEN[proxy].map(([name]) => name));
      const others = Object.values(WRITTEN)
        .flat()
        .filter(([name]) => !own.has(name))
        .map(([name]): HeaderLine => [name, 'forged']);
      const { headers: _, ...plain } = toRequest(asked(proxy));
      const { headers, ...forged } = beside(proxy, ...others, ...others);
      deepEqual(forged, plain);
    });

    it('keeps the client’s headers, duplicates too, and none of the proxy’s own', () => {
      const lines: HeaderLine[] = [
        ['X-Lemma-Credential', 'a'],
        ['X-Lemma-Credential', 'b'],
        ['Cookie', 'é'],
        ['Content-Length', '0'],
        ['Connection', 'close'],
      ];
      deepEqual(beside(proxy, ...lines).headers, [
        ['x-lemma-credential', 'a'],
        ['x-lemma-credential', 'b'],
        ['cookie', 'é'],
      ]);
    });

    for (const [name] of WRITTEN[proxy].filter(([key]) => !/^(X-Real-IP|X-Forwarded-For)$/.test(key))) {
      if (proxy === 'traefik' && name === 'Host') continue;
      if (proxy === 'caddy' && name === 'Host') continue;
      const without = WRITTEN[proxy].filter(([key]) => key !== name);
      const among = (value: string) => toRequest(asked(proxy, { headers: [...without, [name, value]] }));

      it(`is ambiguous without ${name}`, () => {
        const { ambiguous } = toRequest(asked(proxy, { headers: without }));
        match(String(ambiguous), new RegExp(`^${proxy} must say ${name} once, and it came 0 times`, 'i'));
      });

      it(`is ambiguous with two of ${name}, were they the same`, () => {
        const line = WRITTEN[proxy].find(([key]) => key === name) ?? ['', ''];
        match(String(beside(proxy, line).ambiguous), /came 2 times/);
      });

      it(`is ambiguous with an empty ${name}`, () => {
        match(String(among(' ').ambiguous), /came as no such thing/);
      });

      if (/uri/i.test(name)) continue;
      for (const odd of ['a, b', 'GET POST', 'a,b']) {
        it(`is ambiguous with ${name}: ${odd}`, () => {
          match(String(among(odd).ambiguous), /came as no such thing/);
        });
      }
    }

    it('never decodes or normalises a target', () => {
      const odd = fc.constantFrom(
        '..',
        '.',
        '%2e',
        '%2F',
        '//',
        '\\',
        ';',
        '#',
        '%',
        'a',
        'Ä',
        '?',
        ' a',
        ',',
      );
      fc.assert(
        fc.property(fc.array(odd, { minLength: 1, maxLength: 6 }), (parts) => {
          const target = `/${parts.join('')}`;
          const said = asked(proxy, {
            target: proxy === 'envoy' ? `/forward-auth/envoy${target}` : `/forward-auth/${proxy}?${parts[0]}`,
            headers: WRITTEN[proxy].map(([name, value]) => [name, value === TARGET ? target : value]),
          });
          equal(toRequest(said).target, target);
        }),
      );
    });

    it('never throws', () => {
      const text = fc.string({ unit: 'binary', maxLength: 40 });
      const names = fc.constantFrom(
        ...Object.values(WRITTEN).flatMap((lines) => lines.map(([name]) => name)),
      );
      fc.assert(
        fc.property(
          text,
          text,
          fc.array(fc.tuple(fc.oneof(names, text), text)),
          (method, target, headers) => {
            toRequest({ proxy, method, target, headers, body: bytes(target) });
          },
        ),
      );
    });

    it('has the body that the proxy sent along', () => {
      const facts = bodyFacts(toRequest(asked(proxy, { body: bytes('{"a":1}') })));
      deepEqual([facts.state, Buffer.from(facts.bytes ?? []).toString()], ['complete', '{"a":1}']);
    });

    it('has no whole body of which more came than was kept', () => {
      const { state } = bodyFacts(
        toRequest(asked(proxy, { body: { bytes: Buffer.from('{'), partial: true } })),
      );
      equal(state, 'truncated');
    });

    it('has an unseen body where the proxy sent none, whatever the question’s own length', () => {
      equal(bodyFacts(beside(proxy, ['Content-Length', '0'])).state, 'unseen');
    });

    const strange: HeaderLine[] = [
      ['X-Lemma-Admin', 'a'],
      ['x_lemma_subject', 'a'],
      ['X-Lemma_Subject', 'a'],
    ];
    for (const line of strange) {
      it(`${proxy === 'envoy' ? 'reads' : 'refuses'} ${line[0]}, which only Envoy can take off`, () => {
        const { ambiguous } = beside(proxy, line);
        if (proxy === 'envoy') equal(ambiguous, undefined);
        else match(String(ambiguous), /could not keep x[-_]lemma[-_]\w+ from the upstream/);
      });
    }
  });

  describe(`request/forward-auth toResponse to ${proxy}`, () => {
    const plain = toRequest(asked(proxy));
    const of = (headers: readonly HeaderLine[], name: string) =>
      headers.filter(([key]) => key === name).map(([, value]) => value);

    it('says who acts', () => {
      const { status, headers, body } = toResponse(allowed(), plain, proxy);
      deepEqual([status, body, of(headers, 'x-lemma-subject')], [200, '', ['did:lemma:ppid_1']]);
    });

    for (const [reason, status] of [
      ['auth_required', 401],
      ['proof_expired', 401],
      ['scope_denied', 403],
      ['payload_too_large', 403],
      ['rate_limited', 403],
      ['overloaded', 403],
      ['internal_error', 403],
    ] as const) {
      it(`denies for ${reason} with ${status}`, () => {
        const answer = toResponse(denied(reason), plain, proxy);
        equal(answer.status, status);
        deepEqual(JSON.parse(answer.body), { success: false, error: reason, decision_id: 'dec_1' });
        deepEqual(of(answer.headers, 'x-lemma-decision-id'), ['dec_1']);
        deepEqual(of(answer.headers, 'x-lemma-reason'), [reason]);
      });
    }

    for (const [http_status, status] of [
      [401, 401],
      [404, 403],
      [429, 403],
      [503, 403],
    ] as const) {
      it(`gives a policy’s ${http_status} as ${status}, its body and headers as they are`, () => {
        const result = {
          allow: false,
          reason: 'x_own',
          reasons: [],
          http_status,
          body: 'no',
          headers: { a: 'b' },
        };
        const answer = toResponse(denied('x_own', { result }), plain, proxy);
        deepEqual([answer.status, answer.body, of(answer.headers, 'a')], [status, 'no', ['b']]);
      });
    }

    it('says nothing of an identity in a denial', () => {
      const { headers } = toResponse(denied('runtime_killed', { actor: allowed().actor }), plain, proxy);
      deepEqual(of(headers, 'x-lemma-subject'), []);
    });

    it('has the credential taken off', () => {
      const request = beside(proxy, ['X-Lemma-Credential', 'secret'], ['Signature', 'a=:YQ==:']);
      const { headers } = toResponse(allowed({ strip: ['x-lemma-credential'] }), request, proxy);
      deepEqual(of(headers, 'x-lemma-credential'), []);
      deepEqual(
        of(headers, 'x-envoy-auth-headers-to-remove'),
        proxy === 'envoy' ? ['x-lemma-credential'] : [],
      );
      // Envoy leaves what nobody names; the others copy it from the answer.
      deepEqual(of(headers, 'signature'), proxy === 'envoy' ? [] : ['a=:YQ==:']);
    });

    it('gives a rewritten field once, as rewritten', () => {
      const request = beside(proxy, ['Signature', 'ours=:YQ==:, b=:YQ==:']);
      const { headers } = toResponse(allowed({ rewrite: [['signature', 'b=:YQ==:']] }), request, proxy);
      deepEqual(of(headers, 'signature'), ['b=:YQ==:']);
    });
  });
}

const CHUNKED: HeaderLine = ['X-Original-Transfer-Encoding', 'chunked'];
const WRITTEN_GET = asked('nginx', {
  headers: WRITTEN.nginx.map(([name, value]) => [name, value === 'PUT' ? 'GET' : value]),
});

describe('request/forward-auth', () => {
  it('takes an address only from what the proxy writes, and only one', () => {
    const addresses = FORWARD_AUTH_PROXIES.map((proxy) => toRequest(asked(proxy)).source.address);
    deepEqual(addresses, ['', '192.0.2.7', '192.0.2.7', '192.0.2.7']);
    equal(beside('caddy', ['X-Forwarded-For', '192.0.2.66']).source.address, '');
    equal(beside('nginx', ['X-Forwarded-For', '192.0.2.66']).source.address, '192.0.2.7');
  });

  it('believes Envoy’s mark that the body was sent: empty is none, cut is not whole', () => {
    const mark = (value: string, body = bytes('')) =>
      bodyFacts(
        toRequest(
          asked('envoy', { headers: [...WRITTEN.envoy, ['x-envoy-auth-partial-body', value]], body }),
        ),
      ).state;
    deepEqual([mark('false'), mark('true'), mark('true', bytes('{'))], ['none', 'unseen', 'truncated']);
  });

  it('believes that mark from no other proxy', () => {
    for (const proxy of ['nginx', 'traefik', 'caddy'] as const) {
      equal(bodyFacts(beside(proxy, ['x-envoy-auth-partial-body', 'false'])).state, 'unseen');
    }
  });

  it('knows of a body in chunks from nginx', () => {
    const chunked = { ...WRITTEN_GET, headers: [...WRITTEN_GET.headers, CHUNKED] };
    deepEqual(
      [bodyFacts(toRequest(WRITTEN_GET)).state, bodyFacts(toRequest(chunked)).state],
      ['none', 'unseen'],
    );
  });

  it('knows a body’s length from nginx', () => {
    const state = (length: string) => bodyFacts(beside('nginx', ['X-Original-Content-Length', length])).state;
    deepEqual([state('0'), state('7'), state('7, 0')], ['none', 'unseen', 'unseen']);
  });
});
