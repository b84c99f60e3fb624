import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Credential,
  createLemmaFetch,
  denialOf,
  generateKey,
  keyFromSeed,
  LemmaClientError,
  LemmaDenied,
  type LemmaFetch,
  type LemmaKey,
} from '../../src/client/index.ts';
import { openScene, type Scene } from './scene.ts';

const failing = (code: LemmaClientError['code'], text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof LemmaClientError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, text);
  return true;
};

const denying = (reason: string, status: number) => (error: unknown) => {
  assert.ok(error instanceof LemmaDenied, String(error));
  assert.equal(error.reason, reason);
  assert.equal(error.status, status);
  assert.match(error.decision_id ?? '', /^dec_[\w-]{22}$/);
  return true;
};

describe('createLemmaFetch, through a real firewall', () => {
  let scene: Scene;
  let key: LemmaKey;
  let credential: Credential;
  let lemmaFetch: LemmaFetch;
  const common = () => ({ gateways: [scene.gateway], clock: () => scene.now() * 1000 });

  before(async () => {
    scene = await openScene();
    key = await generateKey();
    credential = await scene.onboard('agent-1', key.publicKey);
    lemmaFetch = createLemmaFetch({ ...common(), credential, key });
  });
  after(async () => {
    lemmaFetch?.close();
    await scene?.close();
  });

  it('shows the credential as a bearer where it has no key', async () => {
    const bearer = createLemmaFetch({ ...common(), credential });
    assert.equal((await bearer(scene.url('read'))).status, 200);
    await assert.rejects(
      bearer(scene.url('write'), { method: 'PUT', body: 'x' }),
      denying('pop_required', 401),
    );
  });

  const bodies: readonly (readonly [string, () => RequestInit])[] = [
    ['none', () => ({ method: 'DELETE' })],
    ['an empty text', () => ({ method: 'PUT', body: '' })],
    ['a text', () => ({ method: 'PUT', body: '{"a":"ü"}' })],
    ['bytes', () => ({ method: 'PUT', body: Uint8Array.from([0, 255, 10]) })],
    ['a form', () => ({ method: 'POST', body: new URLSearchParams({ a: '1 2' }) })],
    [
      'a multipart form, whose boundary is made on the way',
      () => {
        const form = new FormData();
        form.set('file', new Blob(['abc']), 'a.txt');
        return { method: 'POST', body: form };
      },
    ],
    ['a blob', () => ({ method: 'PUT', body: new Blob(['abc', 'def']) })],
    [
      'a stream, in pieces',
      () => ({
        method: 'PUT',
        body: ReadableStream.from([Buffer.from('one '), Buffer.from('two')]) as ReadableStream<Uint8Array>,
      }),
    ],
  ];
  for (const [name, init] of bodies) {
    it(`signs a request whose body is ${name}`, async () => {
      const response = await lemmaFetch(scene.url('write', '/v1/documents/42?a=%20b&c'), init());
      assert.equal(response.status, 200);
    });
  }

  it('signs a Request, and leaves its headers as they are', async () => {
    const request = new Request(scene.url('write'), {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    assert.equal((await lemmaFetch(request)).status, 200);
    const seen = scene.upstream.seen.at(-1)?.headers ?? [];
    assert.deepEqual(
      seen.filter(([name]) => name.toLowerCase() === 'content-type').map(([, value]) => value),
      ['application/json'],
    );
  });

  it('signs a query alone, and no fragment', async () => {
    assert.equal((await lemmaFetch(`${scene.url('read')}?#top`)).status, 200);
  });

  it('throws what is denied: the reason, its status and the id to explain it by', async () => {
    await assert.rejects(lemmaFetch(scene.url('purge'), { method: 'POST', body: '{}' }), (error: unknown) => {
      denying('run_required', 403)(error);
      assert.ok(error instanceof LemmaDenied);
      assert.equal(error.response.bodyUsed, false);
      return true;
    });
  });

  it('returns what is denied, where asked to, whole', async () => {
    const returning = createLemmaFetch({ ...common(), credential, key, denials: 'return' });
    const response = await returning(scene.url('purge'), { method: 'POST', body: '{}' });
    assert.equal((await denialOf(response))?.reason, 'run_required');
    assert.equal(((await response.json()) as { error: string }).error, 'run_required');
  });

  it('shows the proof to no origin that it is not for', async () => {
    await assert.rejects(
      lemmaFetch('http://127.0.0.1:9/elsewhere'),
      failing('origin_not_covered', /http:\/\/127\.0\.0\.1:9 is not in the proof's audience/),
    );
  });

  it('does not send a path that would be denied as ambiguous', async () => {
    await assert.rejects(lemmaFetch(scene.url('read', '/v1//a')), failing('path_ambiguous', /empty/));
  });

  it("refuses to overwrite a caller's own x-lemma header", async () => {
    await assert.rejects(
      lemmaFetch(scene.url('read'), { headers: { 'X-Lemma-Credential': 'other' } }),
      failing('header_reserved', /x-lemma-credential/),
    );
  });

  it('says that a body is too large to be signed', async () => {
    const small = createLemmaFetch({ ...common(), credential, key, body_limit: 4 });
    await assert.rejects(
      small(scene.url('write'), { method: 'PUT', body: '12345' }),
      failing('body_too_large', /over 4 bytes/),
    );
  });

  describe('a run', () => {
    it('has a key and a budget of its own, and ends with it', async () => {
      const run = await lemmaFetch.narrow({ run_id: 'job-1', operations: 2, scope: ['documents.read'] });
      assert.notEqual(run.credential.key, credential.key);
      assert.equal((await run(scene.url('read'))).status, 200);
      await assert.rejects(
        run(scene.url('write'), { method: 'PUT', body: 'x' }),
        denying('scope_denied', 403),
      );
      assert.equal((await run(scene.url('read'))).status, 200);
      await assert.rejects(run(scene.url('read')), denying('budget_exhausted', 403));
    });

    it('keeps to its bounds', async () => {
      const bounds = { methods: ['GET'], path_prefixes: ['/v1/documents'] };
      const run = await lemmaFetch.narrow({ run_id: 'job-2', operations: 9, bounds });
      assert.equal((await run(scene.url('read'))).status, 200);
      await assert.rejects(run(scene.url('read', '/v1/other')), denying('bounds_exceeded', 403));
    });

    it('may do what is critical', async () => {
      const run = await lemmaFetch.narrow({ run_id: 'job-3', operations: 1, ttl_s: 60 });
      assert.equal((await run(scene.url('purge'), { method: 'POST', body: '{"all":true}' })).status, 200);
    });

    const impossible: readonly (readonly [object, RegExp])[] = [
      [{ run_id: 'A' }, /^run_id: /],
      [{ operations: 0 }, /^operations: /],
      [{ ttl_s: 901 }, /^ttl_s: .* 1 to 900/],
      [{ scope: ['pay.send'] }, /^scope_escalation: /],
      [{ scope: ['a b'] }, /^scope: /],
      [{ audience: ['https://other.example'] }, /^audience_escalation: /],
      [{ audience: [] }, /^audience: /],
      [{ bounds: {} }, /^bounds: /],
      [{ bounds: { path_prefixes: ['/a/'] } }, /^bounds\.path_prefixes: /],
      [{ bounds: { methods: [] } }, /^bounds\.methods: /],
      [{ bounds: { paths: ['/a'] } }, /^bounds\.paths: unknown/],
    ];
    for (const [options, problem] of impossible) {
      it(`names what cannot be: ${JSON.stringify(options)}`, async () => {
        await assert.rejects(
          lemmaFetch.narrow({ run_id: 'job-4', operations: 1, ...options }),
          failing('options_invalid', problem),
        );
      });
    }

    it('has no run below it', async () => {
      const run = await lemmaFetch.narrow({ run_id: 'job-5', operations: 1 });
      await assert.rejects(
        run.narrow({ run_id: 'job-6', operations: 1 }),
        failing('options_invalid', /no run below/),
      );
    });
  });

  describe('its options', () => {
    const wrong: readonly (readonly [string, () => object, RegExp])[] = [
      ['no credential', () => ({ credential: 'not one' }), /^credential: /],
      [
        'a root',
        () => ({ credential: { ...credential.chain[0], chain: [] } }),
        /^credential: must be a runtime/,
      ],
      [
        'a control plane without a key',
        () => ({ credential, renew: { control: scene.control } }),
        /^renew: /,
      ],
      [
        'a control plane that is no origin',
        () => ({ credential, key, renew: { control: `${scene.control}/api` } }),
        /^renew\.control: /,
      ],
      ['a gateway that is no origin', () => ({ credential, gateways: ['localhost'] }), /^gateways: /],
      ['no room for a body', () => ({ credential, body_limit: 0 }), /^body_limit: /],
    ];
    for (const [name, options, problem] of wrong) {
      it(`name what is wrong: ${name}`, () => {
        assert.throws(
          () => createLemmaFetch(options() as Parameters<typeof createLemmaFetch>[0]),
          failing('options_invalid', problem),
        );
      });
    }

    it("name another runtime's key", async () => {
      const other = await generateKey();
      assert.throws(() => createLemmaFetch({ credential, key: other }), failing('options_invalid', /^key: /));
    });

    it("take the credential's text and the header's value too", async () => {
      const text = JSON.stringify(credential);
      for (const given of [text, Buffer.from(text).toString('base64url')])
        assert.deepEqual(createLemmaFetch({ credential: given }).credential, credential);
    });
  });
});

describe('redirects', () => {
  let scene: Scene;
  let server: Server;
  let origin: string;
  let lemmaFetch: LemmaFetch;
  let elsewhere: string[];

  before(async () => {
    elsewhere = [];
    scene = await openScene();
    server = createServer((request, response) => {
      const to = new URL(request.url ?? '/', 'http://x').searchParams.get('to');
      if (to === null) {
        elsewhere.push(String(request.headers['x-lemma-pop'] ?? 'none'));
        response.end('here');
      } else response.writeHead(307, { location: to }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const key = await keyFromSeed(new Uint8Array(32).fill(7));
    const credential = await scene.onboard('agent-2', key.publicKey);
    const clock = () => scene.now() * 1000;
    lemmaFetch = createLemmaFetch({ credential, key, gateways: [origin], clock });
  });
  after(async () => {
    server?.close();
    await scene?.close();
  });

  it('are followed within what the proof is for, each signed anew', async () => {
    const response = await lemmaFetch(`${origin}/a?to=/b`);
    assert.equal(await response.text(), 'here');
    assert.match(elsewhere.at(-1) ?? '', /^input=/);
  });

  it('do not take the proof to another origin', async () => {
    const before = elsewhere.length;
    const other = origin.replace('127.0.0.1', 'localhost');
    await assert.rejects(
      lemmaFetch(`${origin}/a?to=${encodeURIComponent(`${other}/b`)}`),
      failing('origin_not_covered', /localhost/),
    );
    assert.equal(elsewhere.length, before);
  });

  it('of what writes are not followed', async () => {
    await assert.rejects(
      lemmaFetch(`${origin}/a?to=/b`, { method: 'POST', body: 'x' }),
      failing('redirected', /redirects to \/b/),
    );
  });

  it('end somewhere', async () => {
    // Each step names the next: five, and one too many.
    const deep = [1, 2, 3, 4, 5, 6].reduce((to) => `/a?to=${encodeURIComponent(to)}`, '/b');
    await assert.rejects(lemmaFetch(origin + deep), failing('redirected', /redirects to/));
  });

  it("are the caller's to follow where it says so", async () => {
    const response = await lemmaFetch(`${origin}/a?to=/b`, { redirect: 'manual' });
    assert.equal(response.status, 307);
  });
});
