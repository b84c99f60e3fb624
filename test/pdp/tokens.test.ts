import assert from 'node:assert/strict';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import type { TokenTerms } from '../../src/proof/token.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { bytes, withFile } from '../policy/support.ts';
import { chain, header, type Key, keyNamed, keys, NOW, proving, request } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';
import { folders, publish, tokened, tokenFor } from './support.ts';

const PATH = '/api/auth/exchange-proof';

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
}

/** The defaults, with this one route open to legacy tokens. */
async function openTo(folder: string, route: string) {
  const low = (await loadEmbedded()).find(({ name }) => name === 'low');
  assert.ok(low);
  const settings = {
    reading_methods: ['GET', 'HEAD', 'OPTIONS'],
    freshness_max_ms: 30_000,
    legacy_routes: [route],
  };
  return publish(folder, withFile(low, 'data.json', bytes({ lemma: { low: { settings } } })), { serial: 5 });
}

describe('legacy tokens', () => {
  const temporary = folders();
  const policies = folders();
  let service: Running;
  let now = NOW;

  beforeEach(async () => {
    now = NOW;
    const bundles = await openTo(policies.make(), 'documents.read');
    service = await running({ folder: temporary.make(), clock: () => now, config: { bundles } });
  });
  afterEach(async () => {
    await service.stop();
    temporary.remove();
    policies.remove();
  });

  async function send(
    address: string,
    path: string,
    headers: Record<string, string>,
    body?: string,
  ): Promise<Answer> {
    const answer = await fetch(`http://${address}${path}`, {
      method: 'POST',
      headers,
      ...(body === undefined ? {} : { body }),
    });
    return {
      status: answer.status,
      body: (await answer.json()) as Record<string, unknown>,
      headers: answer.headers,
    };
  }

  function exchange(links: readonly Lemma[], wish?: object, address = service.app.addresses.control) {
    const body = wish === undefined ? undefined : JSON.stringify(wish);
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    return send(address, PATH, { 'x-lemma-credential': header(links), ...type }, body);
  }

  function proven(links: readonly Lemma[], key: Key, nonce = 'n'.repeat(22)) {
    const address = service.app.addresses.control;
    const headers = signPop({
      method: 'POST',
      url: `http://${address}${PATH}`,
      proof: header(links),
      seed: key.seed,
      created: now,
      nonce,
    });
    return send(address, PATH, headers);
  }

  async function exchanged(links: readonly Lemma[], wish?: object): Promise<string> {
    const { status, body } = await exchange(links, wish);
    assert.equal(status, 200, JSON.stringify(body));
    return String(body.token);
  }

  const verdict = async (token: string, more = {}) => (await service.grpc(tokened(token, more))).verdict;
  const idOf = async (token: string) => String((await introspect(token)).body.jti);
  const form = (members: Record<string, string>) =>
    [
      { authorization: `Bearer ${service.operatorKey}`, 'content-type': 'application/x-www-form-urlencoded' },
      String(new URLSearchParams(members)),
    ] as const;
  const introspect = (token: string) =>
    send(service.app.addresses.control, '/api/auth/introspect', ...form({ token }));
  const revoke = (token: string) =>
    send(service.app.addresses.control, '/api/auth/revoke', ...form({ token }));

  describe('exchange-proof', () => {
    it('gives a token that the route takes', async () => {
      assert.equal(await verdict(await exchanged(chain())), 'allow');
    });

    it('says what the token is good for', async () => {
      const { body } = await exchange(chain(), { scope: ['documents.read'], ttl_s: 60 });
      const { token, token_id, decision_id, ...rest } = body;
      assert.match(String(token), /^lm_at_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}$/);
      assert.match(`${token_id} ${decision_id}`, /^lem_\S{22} dec_\S{22}$/);
      assert.deepEqual(rest, {
        success: true,
        token_type: 'Bearer',
        runtime_id: 'bot-1',
        scope: ['documents.read'],
        audience: ['https://api.example.com'],
        expires_in: 60,
        expires_at: new Date((NOW + 60) * 1000).toISOString(),
      });
    });

    it('is served on the decision listener too', async () => {
      assert.equal((await exchange(chain(), undefined, service.app.addresses.decision)).status, 200);
    });

    it('holds no credential', async () => {
      const links = chain();
      const token = await exchanged(links);
      const payload = Buffer.from(token.slice(6).split('.')[0] ?? '', 'base64url').toString();
      for (const { signature } of links) assert.equal(payload.includes(signature), false);
    });

    it('takes a PoP over this very request, once', async () => {
      assert.equal((await proven(chain(), keys.runtime)).status, 200);
      const links = chain();
      await proven(links, keys.runtime, 'm'.repeat(22));
      assert.equal((await proven(links, keys.runtime, 'm'.repeat(22))).body.error, 'replay_detected');
    });

    it('asks for the PoP of a proof', async () => {
      const answer = await send(service.app.addresses.control, PATH, { 'x-lemma-proof': header(chain()) });
      assert.deepEqual([answer.status, answer.body.error], [401, 'pop_required']);
    });

    it('never outlives its proof', async () => {
      const { body } = await exchange(chain({ runtime: { expires_at: NOW + 20 } }));
      assert.equal(body.expires_in, 20);
    });

    it('asks for a proof', async () => {
      const answer = await send(service.app.addresses.control, PATH, {});
      assert.deepEqual([answer.status, answer.body.error], [401, 'auth_required']);
    });

    it('takes no token for a token', async () => {
      const authorization = `Bearer ${await exchanged(chain())}`;
      assert.equal(
        (await send(service.app.addresses.control, PATH, { authorization })).body.error,
        'auth_required',
      );
    });

    for (const [name, wish, code] of [
      ['more scope', { scope: ['site.read'] }, 'scope_denied'],
      ['another audience', { audience: ['https://other.example.com'] }, 'audience_mismatch'],
      ['no route that takes tokens', { scope: ['documents.write'] }, 'legacy_disabled'],
      ['no route at all', { scope: ['documents.none'] }, 'scope_denied'],
    ] as const) {
      it(`denies ${name}: ${code}`, async () => {
        const { status, body } = await exchange(chain(), wish);
        assert.deepEqual([status, body.error], [403, code]);
      });
    }

    it('refuses a member that it does not know', async () => {
      const { status, body } = await exchange(chain(), { scopes: [] });
      assert.deepEqual([status, body.error], [400, 'invalid_request']);
      assert.match(String(body.message), /scopes/);
    });

    it('denies a killed runtime', async () => {
      await service.control('/api/wallet/runtimes/bot-1/kill', {});
      assert.equal((await exchange(chain())).body.error, 'runtime_killed');
    });

    it('denies a proof whose bounds ask for a PoP, even with one', async () => {
      const links = chain({ runtime: { claims: { bounds: { pop: true } } } });
      assert.equal((await proven(links, keys.runtime)).body.error, 'pop_required');
    });

    it('denies a critical runtime', async () => {
      const links = chain({ runtime: { claims: { profile: 'critical' } } });
      assert.equal((await exchange(links)).body.error, 'legacy_disabled');
    });

    it('leaves a record that explain evaluates again to the same', async () => {
      const { body } = await exchange(chain());
      const { evaluated_again, record } = await service.explain(String(body.decision_id));
      assert.equal(evaluated_again?.equal, true);
      assert.deepEqual(
        [record.border, record.verdict, record.token?.id, record.request?.path],
        ['exchange', 'allow', body.token_id, PATH],
      );
    });

    it('refuses a flood with Retry-After', async () => {
      const all = await Promise.all(Array.from({ length: 120 }, () => exchange(chain())));
      const refused = all.find(({ status }) => status === 429);
      assert.ok(refused !== undefined);
      assert.deepEqual([refused.body.error, refused.headers.get('retry-after')], ['rate_limited', '1']);
    });
  });

  it('are denied where the data list no route', async () => {
    const plain = await running({ folder: temporary.make(), clock: () => now });
    try {
      const { body } = await exchange(chain(), undefined, plain.app.addresses.control);
      assert.equal(body.error, 'legacy_disabled');
    } finally {
      await plain.stop();
    }
  });

  describe('in a decision', () => {
    it('are a fact of the input, and stand in the record', async () => {
      const token = await exchanged(chain(), { scope: ['documents.read'] });
      now += 2;
      const { decisionId } = await service.grpc(tokened(token));
      const { record, evaluated_again } = await service.explain(decisionId);
      assert.deepEqual(
        [record.input?.subject.via, record.input?.legacy],
        ['token', { token: true, age_ms: 2000 }],
      );
      assert.deepEqual(
        [record.input?.proof?.scope, record.input?.proof?.links.length],
        [['documents.read'], 3],
      );
      assert.deepEqual([record.token?.id, evaluated_again?.equal], [await idOf(token), true]);
    });

    it('are never in the log', async () => {
      const token = await exchanged(chain());
      await service.grpc(tokened(token));
      const { lines } = await service.records();
      assert.equal(lines.join('').includes(token.slice(0, 40)), false);
    });

    it('are taken off before the upstream', async () => {
      const { response } = await service.grpc(tokened(await exchanged(chain())));
      assert.ok(
        'ok_response' in response && response.ok_response.headers_to_remove.includes('authorization'),
      );
    });

    it('are counted', async () => {
      await service.grpc(tokened(await exchanged(chain())));
      await service.records();
      const metrics = await (await fetch(`http://${service.app.addresses.control}/metrics`)).text();
      for (const event of ['use', 'exchange'])
        assert.match(
          metrics,
          new RegExp(`lemma_legacy_tokens_total\\{event="${event}",verdict="allow"\\} 1`),
        );
    });

    it('end: token_expired', async () => {
      const token = await exchanged(chain(), { ttl_s: 60 });
      now += 60;
      assert.equal(await verdict(token), 'token_expired');
    });

    it('reach no further than they were narrowed to', async () => {
      const token = await exchanged(chain(), { scope: ['documents.read'] });
      assert.equal(
        await verdict(token, { method: 'PUT', headers: [['content-length', '0']] }),
        'scope_denied',
      );
    });

    it('do nothing where no data lists the route', async () => {
      assert.equal(
        await verdict(await exchanged(chain()), { method: 'PUT', headers: [['content-length', '0']] }),
        'legacy_disabled',
      );
    });

    it('keep the bounds of the proof', async () => {
      const token = await exchanged(
        chain({ runtime: { claims: { bounds: { path_prefixes: ['/v1/documents/7'] } } } }),
      );
      assert.deepEqual(
        [await verdict(token), await verdict(token, { path: '/v1/documents/7' })],
        ['bounds_exceeded', 'allow'],
      );
    });

    it('spend the budget of the proof', async () => {
      const links = chain({ runtime: { claims: { budget: { operations: 2 } } } });
      const token = await exchanged(links);
      await verdict(token);
      const credential = request({ headers: [['x-lemma-credential', header(links)]] });
      assert.equal((await service.grpc(credential)).verdict, 'allow');
      assert.equal(await verdict(token), 'budget_exhausted');
    });

    it('are stale after a taint, for writing', async () => {
      const bundles = await openTo(policies.make(), 'notes.write');
      const route = {
        id: 'notes.write',
        host: 'api.example.com',
        path: '/notes',
        methods: ['POST'],
        api: 'notes',
        action: 'notes.write',
        scope: ['documents.write'],
        audience: 'https://api.example.com',
        risk: 'low',
        taint_on_response: true,
      };
      const tainting = await running({ folder: temporary.make(), config: { bundles, routes: [route] } });
      try {
        const { body } = await exchange(chain(), undefined, tainting.app.addresses.control);
        const write = () =>
          tainting.grpc(
            tokened(String(body.token), {
              method: 'POST',
              path: '/notes',
              headers: [['content-length', '0']],
            }),
          );
        assert.deepEqual([(await write()).verdict, (await write()).verdict], ['allow', 'taint_stale']);
      } finally {
        await tainting.stop();
      }
    });

    it('die with the kill', async () => {
      const token = await exchanged(chain());
      await service.control('/api/wallet/runtimes/bot-1/kill', {});
      assert.equal(await verdict(token), 'runtime_killed');
    });

    for (const index of [0, 1, 2]) {
      it(`die with the revocation of link ${index}`, async () => {
        const links = chain();
        const token = await exchanged(links);
        await service.control('/api/wallet/runtimes/bot-1/revoke', { lemma_id: links[index]?.id });
        assert.equal(await verdict(token), 'revoked');
      });
    }

    it('die with the revocation of a key', async () => {
      const token = await exchanged(chain());
      await service.control('/api/wallet/runtimes/bot-1/revoke', { key: keys.runtime.id });
      assert.equal(await verdict(token), 'revoked');
    });

    it('are no credential', async () => {
      const token = await exchanged(chain());
      await verdict(token);
      const { verdict: code } = await service.grpc(request({ headers: [['x-lemma-credential', token]] }));
      assert.equal(code, 'encoding_invalid');
    });

    it('outlive the rotation of the key that signed them, not its retirement', async () => {
      const token = await exchanged(chain());
      const kid = String((await introspect(token)).body.iss);
      await service.control('/api/wallet/keys/rotate', { use: 'authority' });
      assert.equal(await verdict(token), 'allow');
      await service.control('/api/wallet/keys/retire', { kid });
      assert.equal(await verdict(token), 'token_invalid');
    });

    it('hold where every byte is as it was issued', async () => {
      const token = await exchanged(chain());
      const dot = token.indexOf('.');
      const spoilt = [
        token.toUpperCase(),
        `${token}.x`,
        token.slice(0, dot),
        `${token.slice(0, -1)}${token.endsWith('A') ? 'Q' : 'A'}`,
        `lm_at_${toBase64url(bytes({ v: 1 }))}${token.slice(dot)}`,
      ];
      for (const one of spoilt) assert.equal(await verdict(one), 'token_invalid', one);
    });

    describe('by an authority that signs too much', () => {
      const signed = (over: Partial<TokenTerms>, key = keys.issuer) => tokenFor(chain(), over, key);

      it('are good within the chain', async () => assert.equal(await verdict(signed({})), 'allow'));
      for (const [name, over] of [
        ['beyond its scope', { scope: ['site.read'] }],
        ['beyond its audience', { audience: ['https://api.example.com', 'https://other.example.com'] }],
        ['beyond its end', { expires_at: NOW + 86_400 }],
        ['that live longer than a token may', { expires_at: NOW + 901 }],
        ['that begin later', { issued_at: NOW + 40 }],
      ] as const) {
        it(`are refused ${name}`, async () => assert.equal(await verdict(signed(over)), 'token_invalid'));
      }
      it('are refused of a key that nobody trusts', async () =>
        assert.equal(await verdict(signed({}, keyNamed('stranger'))), 'token_invalid'));
    });
  });

  describe('introspect', () => {
    it('gives the members of RFC 7662', async () => {
      const links = chain();
      const token = await exchanged(links, { scope: ['documents.read'] });
      const { body } = await introspect(token);
      const { jti, iss, ...rest } = body;
      assert.match(`${jti} ${iss}`, /^lem_\S{22} \S{43}$/);
      assert.deepEqual(rest, {
        active: true,
        scope: 'documents.read',
        client_id: 'bot-1',
        sub: links[0]?.subject,
        aud: ['https://api.example.com'],
        exp: NOW + 300,
        iat: NOW,
        nbf: NOW,
        token_type: 'Bearer',
      });
    });

    it('takes JSON too', async () => {
      const { body } = await service.control('/api/auth/introspect', { token: await exchanged(chain()) });
      assert.equal(body.active, true);
    });

    for (const [name, spoil] of [
      [
        'expired',
        async () => {
          now += 400;
        },
      ],
      ['revoked', async (token: string) => void (await revoke(token))],
      ['killed', async () => void (await service.control('/api/wallet/runtimes/bot-1/kill', {}))],
    ] as const) {
      it(`says nothing but inactive once it is ${name}`, async () => {
        const token = await exchanged(chain());
        await spoil(token);
        assert.deepEqual((await introspect(token)).body, { active: false });
      });
    }

    it('says inactive of anything else', async () => {
      assert.deepEqual((await introspect('x')).body, { active: false });
    });

    it('refuses a form with a member twice', async () => {
      const [headers] = form({ token: 'x' });
      const answer = await send(
        service.app.addresses.control,
        '/api/auth/introspect',
        headers,
        'token=a&token=b',
      );
      assert.deepEqual([answer.status, answer.body.error], [400, 'invalid_request']);
    });

    it('takes a form nowhere else', async () => {
      const [headers] = form({});
      const answer = await send(
        service.app.addresses.control,
        '/api/wallet/runtimes/bot-1/kill',
        headers,
        'reason=x',
      );
      assert.equal(answer.status, 415);
    });
  });

  describe('revoke', () => {
    it('ends a token at once, and for good', async () => {
      const token = await exchanged(chain());
      assert.equal((await revoke(token)).status, 200);
      assert.equal(await verdict(token), 'revoked');
      const folder = service.folder;
      await service.stop();
      service = await running({
        folder,
        clock: () => now,
        config: { bundles: await openTo(policies.make(), 'documents.read') },
      });
      assert.equal(await verdict(token), 'revoked');
    });

    it('leaves its proof, and other tokens of it', async () => {
      const links = chain();
      const [token, other] = [await exchanged(links), await exchanged(links)];
      await revoke(token);
      assert.equal(await verdict(other), 'allow');
      assert.equal((await service.grpc(proving(links, keys.runtime))).verdict, 'allow');
    });

    it('is done for a token that nobody knows', async () =>
      assert.equal((await revoke('lm_at_x')).status, 200));
  });
});
