import assert from 'node:assert/strict';
import { request as send } from 'node:http';
import { createLemmaFetch, keyFromSeed, LemmaDenied, type LemmaFetch } from '../../src/client/index.ts';
import type { LocalOptions } from '../../src/client/options.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { at, chain, credential, header, keys, NOW, SUBJECT, type Type } from '../support/kit.ts';
import { FRAMEWORKS, type Served, type Ways } from './apps.ts';

const TRUST = [{ org: 'acme', env: 'prod', keys: [{ x: 'HLRN-qE3JjnWB-j-nHQd6fnfFDsSCsm29v-30OE9FDg' }] }];
const clock = () => NOW * 1000;

function local(over: Partial<LocalOptions> = {}): Ways['options'] {
  return (audience) => ({ trust: TRUST, audience, clock, first_start: true, body_limit: 64 * 1024, ...over });
}

/** Links for this API. */
function linksFor(origin: string, parts: Parameters<typeof chain>[0] = {}): Lemma[] {
  return at({ origin, signed: () => '' }, () => chain(parts));
}

interface Told {
  readonly lemma: { readonly actor: Record<string, unknown>; readonly decision_id: string | null };
  readonly body: unknown;
  readonly identity: string | null;
}

const denying = (reason: string, status: number) => (error: unknown) => {
  assert.ok(error instanceof LemmaDenied, String(error));
  assert.deepEqual([error.reason, error.status], [reason, status]);
  return true;
};

for (const [name, serve] of Object.entries(FRAMEWORKS)) {
  describe(`${name}, deciding by itself`, () => {
    let served: Served;
    let agent: LemmaFetch;
    before(async () => {
      served = await serve({ options: local() });
      agent = await agentOf(linksFor(served.origin));
    });
    after(() => served?.close());

    async function agentOf(links: readonly Lemma[], bearer = false): Promise<LemmaFetch> {
      const leaf = links.at(-1)?.type === 'run' ? keys.run : keys.runtime;
      const key = await keyFromSeed(leaf.seed);
      return createLemmaFetch({ credential: credential(links), clock, ...(bearer ? {} : { key }) });
    }
    const url = (path = '/v1/documents/42') => served.origin + path;
    const put = (body: string | ReadableStream<Uint8Array>, type = 'application/json') => ({
      ...{ method: 'PUT', body },
      headers: { 'content-type': type },
    });

    it('lets a bearer read, and tells the handler who it is', async () => {
      const bearer = await agentOf(linksFor(served.origin), true);
      const told = (await (await bearer(url())).json()) as Told;
      assert.deepEqual(told.lemma, {
        actor: {
          ...{ subject: SUBJECT, runtime_id: 'bot-1', agent_id: 'bot', workspace_id: 'prod', run_id: null },
          scope: ['documents.read', 'documents.write', 'documents.admin'],
        },
        decision_id: null,
      });
    });

    it('verifies a body that a PoP covers, and leaves it to the parser', async () => {
      const told = (await (await agent(url('/v1/documents/42?a=1'), put('{"a":"ü"}'))).json()) as Told;
      assert.deepEqual(told.body, { a: 'ü' });
    });

    it('verifies a body that comes in pieces, without a length', async () => {
      const pieces = ['one ', 'two ', 'three'];
      const left = [...pieces];
      const bytes = Buffer.from(pieces.join(''));
      const signed = popOf(linksFor(served.origin), { body: bytes });
      const answer = await raw({ ...signed, 'content-type': 'text/plain' }, (request) => {
        // The next piece goes once the one before is on its way.
        const next = () => {
          const piece = left.shift();
          if (piece === undefined) request.end();
          else request.write(piece, () => setImmediate(next));
        };
        next();
      });
      assert.equal(answer.status, 200, answer.body);
      assert.equal((JSON.parse(answer.body) as Told).body, 'one two three');
    });

    it('verifies a long body', async () => {
      const text = 'x'.repeat(60_000);
      const told = (await (await agent(url(), put(text, 'text/plain'))).json().catch(() => ({}))) as Told;
      if (name !== 'Fastify 5') assert.equal(told.body, text);
      else assert.equal(String(told.body), text);
    });

    it('takes a request that has no body', async () => {
      assert.equal((await agent(url(), { method: 'POST' })).status, 200);
    });

    it('refuses what shows nothing, in the one shape of errors', async () => {
      const response = await fetch(url());
      const { request_id, ...rest } = (await response.json()) as Record<string, unknown>;
      assert.equal(response.status, 401);
      assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
      assert.deepEqual(rest, { success: false, error: 'auth_required', message: 'denied: auth_required' });
      assert.ok(typeof request_id === 'string' && request_id !== '');
    });

    it('refuses a body that is not the one that was signed', async () => {
      const signed = popOf(linksFor(served.origin), { body: Buffer.from('{"to":"me"}') });
      const type = { 'content-type': 'application/json' };
      const answer = await raw({ ...signed, ...type }, (request) => request.end('{"to":"he"}'));
      assert.deepEqual(verdictOf(answer), [401, 'pop_body_mismatch']);
    });

    it('takes a signed request once', async () => {
      const signed = popOf(linksFor(served.origin), { body: Buffer.from('{}') });
      const type = { 'content-type': 'application/json' };
      assert.equal((await raw({ ...signed, ...type }, (request) => request.end('{}'))).status, 200);
      const again = await raw({ ...signed, ...type }, (request) => request.end('{}'));
      assert.deepEqual(verdictOf(again), [403, 'replay_detected']);
    });

    it('takes a signature for no other path, query or method', async () => {
      const signed = popOf(linksFor(served.origin), {});
      for (const other of [
        { path: '/v1/documents/43' },
        { path: '/v1/documents/42?x' },
        { method: 'POST' },
      ]) {
        const answer = await raw(signed, (request) => request.end(), other);
        assert.deepEqual(verdictOf(answer), [401, 'pop_invalid'], JSON.stringify(other));
      }
    });

    it('does not hold a body beyond its limit', async () => {
      const length = await answerTo(agent(url(), put('x'.repeat(70_000), 'text/plain')));
      assert.deepEqual(length, ['body_truncated', 403]);
      const bytes = Buffer.alloc(70_000, 'x');
      const signed = popOf(linksFor(served.origin), { body: bytes });
      const chunked = await raw({ ...signed, 'content-type': 'text/plain' }, (request) => {
        request.write(bytes.subarray(0, 35_000));
        request.end(bytes.subarray(35_000));
      });
      assert.deepEqual(verdictOf(chunked), [403, 'body_truncated']);
    });

    const refused: readonly (readonly [
      string,
      Partial<Record<Type, Record<string, unknown>>>,
      string,
      number,
      boolean?,
    ])[] = [
      ['a proof that has ended', { runtime: { expires_at: NOW } }, 'proof_expired', 401],
      ['another organisation', { root: { claims: { org: 'other' } } }, 'root_untrusted', 401],
      ['too little scope', { runtime: { scope: ['documents.write'] } }, 'scope_denied', 403],
      [
        'a method out of bounds',
        { runtime: { claims: { bounds: { methods: ['PUT'] } } } },
        'bounds_exceeded',
        403,
      ],
      [
        'a path out of bounds',
        { delegation: { claims: { bounds: { path_prefixes: ['/v2'] } } } },
        'bounds_exceeded',
        403,
      ],
      [
        'a bearer where a PoP is asked for',
        { delegation: { claims: { bounds: { pop: true } } } },
        'pop_required',
        401,
        true,
      ],
      [
        'an old binding of a high runtime',
        { runtime: { claims: { profile: 'high' }, issued_at: NOW - 3601, not_before: NOW - 3000 } },
        'ttl_too_long',
        401,
      ],
      [
        'a critical runtime, whose state nobody here knows',
        { runtime: { claims: { profile: 'critical' } } },
        'freshness_stale',
        403,
      ],
    ];
    for (const [what, parts, reason, status, bearer = false] of refused) {
      it(`refuses ${what}`, async () => {
        const handled = served.handled();
        const one = await agentOf(linksFor(served.origin, parts), bearer);
        const direct = { 'x-lemma-credential': header(linksFor(served.origin, parts)) };
        // What has ended, the agent itself does not show.
        if (reason === 'proof_expired')
          assert.deepEqual(verdictOf(await raw(direct, (request) => request.end(), { method: 'GET' })), [
            status,
            reason,
          ]);
        else await assert.rejects(one(url()), denying(reason, status));
        assert.equal(served.handled(), handled);
      });
    }

    it('refuses a bearer of a high runtime to write', async () => {
      const links = linksFor(served.origin, { runtime: { claims: { profile: 'high' } } });
      await assert.rejects((await agentOf(links, true))(url(), put('{}')), denying('pop_required', 401));
    });

    it('refuses a proof for another API', async () => {
      const value = header(linksFor('https://other.example.com'));
      const answer = await raw({ 'x-lemma-credential': value }, (request) => request.end(), {
        method: 'GET',
      });
      assert.deepEqual(verdictOf(answer), [403, 'audience_mismatch']);
    });

    it('refuses a legacy token, and two credentials', async () => {
      const token = { authorization: `Bearer lm_at_${'a'.repeat(40)}` };
      const end = { method: 'GET' };
      assert.deepEqual(verdictOf(await raw(token, (request) => request.end(), end)), [
        403,
        'legacy_disabled',
      ]);
      const both = { ...token, 'x-lemma-credential': header(linksFor(served.origin)) };
      assert.deepEqual(verdictOf(await raw(both, (request) => request.end(), end)), [
        403,
        'credential_ambiguous',
      ]);
    });

    it('refuses a path that two parsers might read in two ways', async () => {
      const value = header(linksFor(served.origin));
      const path = '/v1/documents/a%2fb';
      const answer = await raw({ 'x-lemma-credential': value }, (request) => request.end(), {
        ...{ method: 'GET', path },
      });
      assert.deepEqual(verdictOf(answer), [403, 'path_ambiguous']);
    });

    it('counts the operations of a run', async () => {
      const links = linksFor(served.origin, { run: { claims: { budget: { operations: 2 } } } });
      const run = await agentOf(links);
      await run(url());
      await run(url());
      await assert.rejects(run(url()), denying('budget_exhausted', 403));
    });

    it('keeps from the handler what a client says of its identity', async () => {
      const value = header(linksFor(served.origin));
      const headers = { 'x-lemma-credential': value, 'x-lemma-subject': 'did:lemma:me' };
      const answer = await raw(headers, (request) => request.end(), { method: 'GET' });
      assert.equal((JSON.parse(answer.body) as Told).identity, null);
    });

    /** Sends what no client of ours would. */
    function raw(
      headers: Record<string, string>,
      body: (request: ReturnType<typeof send>) => unknown,
      { method = 'PUT', path = '/v1/documents/42' } = {},
    ): Promise<{ status: number; body: string }> {
      return new Promise((resolve, reject) => {
        const request = send(served.origin, { method, path, headers, agent: false }, async (response) => {
          const chunks: Buffer[] = [];
          for await (const chunk of response) chunks.push(chunk as Buffer);
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
        });
        request.once('error', reject);
        body(request);
      });
    }

    function popOf(links: readonly Lemma[], { body }: { body?: Uint8Array }): Record<string, string> {
      return signPop({
        ...{ method: 'PUT', url: url(), proof: header(links), seed: keys.runtime.seed, created: NOW },
        ...(body === undefined ? {} : { body }),
      });
    }
  });
}

async function answerTo(asked: Promise<unknown>): Promise<unknown> {
  try {
    return await asked;
  } catch (error) {
    assert.ok(error instanceof LemmaDenied, String(error));
    return [error.reason, error.status];
  }
}

function verdictOf({ status, body }: { status: number; body: string }): [number, unknown] {
  return [status, (JSON.parse(body) as { error?: unknown }).error];
}

describe('a body parser that runs before', () => {
  for (const [parser, verdict] of [
    ['before, keeping', 200],
    ['before', ['body_truncated', 403]],
  ] as const) {
    for (const name of ['Express 5', 'Express 4']) {
      it(`${parser}: ${JSON.stringify(verdict)} in ${name}`, async () => {
        const served = await FRAMEWORKS[name]?.({ options: local(), parser });
        assert.ok(served);
        try {
          const key = await keyFromSeed(keys.runtime.seed);
          const agent = createLemmaFetch({ credential: credential(linksFor(served.origin)), key, clock });
          const headers = { 'content-type': 'application/json' };
          const asked = agent(`${served.origin}/v1/documents/42`, {
            method: 'PUT',
            body: '{"a":1}',
            headers,
          });
          assert.deepEqual(await answerTo(asked.then(({ status }) => status)), verdict);
        } finally {
          await served.close();
        }
      });
    }
  }
});
