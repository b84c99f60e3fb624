import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publicKeyOf } from '#runtime';
import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import { controlPlane, emptyFolder, lemma, type Reply, type Seen } from './lemma.ts';

const IDENTITY = ['--runtime-id', 'bot-1', '--agent-id', 'bot', '--workspace-id', 'prod'];
const GRANT = ['--scope', 'documents.read', '--audience', 'https://api.example.com'];

/** Issues a credential for the key that it is asked for, as far as the command looks at it. */
const issuing: Reply = ({ url, body }) => {
  if (!url.endsWith('/issue-proof')) return { status: 201, body: { success: true, runtime: {} } };
  const { key, runtime_id } = body as { key: string; runtime_id: string };
  const credential = { v: 1, key, claims: { runtime_id }, chain: [] };
  return { body: { success: true, credential, expires_at: '2026-01-01T00:00:00Z' } };
};

describe("an operator's commands", () => {
  let folder: ReturnType<typeof emptyFolder>;
  let reply: Reply;
  let plane: Awaited<ReturnType<typeof controlPlane>>;
  before(async () => {
    plane = await controlPlane((seen: Seen) => reply(seen));
  });
  after(() => plane.close());
  beforeEach(() => {
    folder = emptyFolder();
    plane.seen.length = 0;
    mkdirSync(join(folder.path, '.lemma'));
    writeFileSync(join(folder.path, '.lemma/operator.key'), 'op-key\n', { mode: 0o600 });
  });
  afterEach(() => folder.remove());

  const run = (...args: string[]) => lemma(folder.path, [...args, '--api-base', plane.base]);
  const body = (i: number) => plane.seen[i]?.body;
  const file = (name: string) => readFileSync(join(folder.path, '.lemma', name), 'utf8');

  describe('firewall-connect', () => {
    beforeEach(() => {
      reply = issuing;
    });

    it('registers the runtime, then asks for its proof', async () => {
      await run('firewall-connect', ...IDENTITY, ...GRANT, '--profile', 'high');
      const [bootstrap, issue] = plane.seen;
      assert.deepEqual(
        [bootstrap?.url, bootstrap?.body, issue?.url],
        [
          '/api/wallet/runtimes/bootstrap',
          { runtime_id: 'bot-1', agent_id: 'bot', workspace_id: 'prod', profile: 'high' },
          '/api/wallet/runtimes/issue-proof',
        ],
      );
    });

    it('shows the operator key from the data folder', async () => {
      await run('firewall-connect', ...IDENTITY, ...GRANT);
      assert.equal(plane.seen[0]?.authorization, 'Bearer op-key');
    });

    it('never sends the private key', async () => {
      await run('firewall-connect', ...IDENTITY, ...GRANT);
      assert.equal(JSON.stringify(plane.seen).includes(file('bot-1.key')), false);
    });

    it('keeps the private key of the public one that it sent', async () => {
      await run('firewall-connect', ...IDENTITY, ...GRANT);
      const seed = fromBase64url(file('bot-1.key')) ?? new Uint8Array();
      const { key } = body(1) as { key: string };
      assert.equal(toBase64url(publicKeyOf(seed)), key);
    });

    it("writes exactly the credential's JSON, and its header's value", async () => {
      await run('firewall-connect', ...IDENTITY, ...GRANT);
      const header = Buffer.from(file('bot-1.credential'), 'base64url').toString();
      assert.deepEqual(
        [JSON.parse(file('bot-1.proof.json')).claims, header],
        [{ runtime_id: 'bot-1' }, file('bot-1.proof.json')],
      );
    });

    it('lets nobody else read what it writes', async () => {
      await run('firewall-connect', ...IDENTITY, ...GRANT);
      const names = readdirSync(join(folder.path, '.lemma')).filter((name) => name.startsWith('bot-1'));
      const modes = names.map((name) => statSync(join(folder.path, '.lemma', name)).mode & 0o777);
      assert.deepEqual([names.length, [...new Set(modes)]], [3, [0o600]]);
    });

    it('answers to its other names', async () => {
      const { code } = await run('openclaw-connect', ...IDENTITY, ...GRANT);
      assert.equal(code, 0);
    });

    it('keeps nothing when the credential is for another key', async () => {
      reply = (seen) =>
        seen.url.endsWith('/issue-proof')
          ? { body: { success: true, credential: { key: 'other', claims: { runtime_id: 'bot-1' } } } }
          : issuing(seen);
      const { code } = await run('firewall-connect', ...IDENTITY, ...GRANT);
      assert.deepEqual([code, readdirSync(join(folder.path, '.lemma'))], [1, ['operator.key']]);
    });

    it('never writes over the operator key', async () => {
      const { code } = await run('firewall-connect', ...IDENTITY, ...GRANT, '--runtime-id', 'operator');
      assert.deepEqual([code, file('operator.key')], [2, 'op-key\n']);
    });

    it('takes no id that would lead out of the folder', async () => {
      assert.equal((await run('firewall-connect', ...IDENTITY, ...GRANT, '--runtime-id', '../x')).code, 2);
    });

    it('asks for what the low-risk routes at hand ask for, when nothing is said', async () => {
      await lemma(folder.path, ['init']);
      await run('firewall-connect', ...IDENTITY);
      const { scope, audience } = body(1) as { scope: string[]; audience: string[] };
      assert.deepEqual([scope, audience], [['documents.read'], ['https://api.example.com']]);
    });
  });

  describe('the way to the control plane', () => {
    it('is never in the clear beyond this machine', async () => {
      const { code, err } = await lemma(folder.path, [
        'kill',
        'bot-1',
        '--api-base',
        'http://lemma.example.com',
      ]);
      assert.deepEqual(
        [code, err],
        [2, 'error: http://lemma.example.com would get the operator key in the clear: use https\n'],
      );
    });

    it('names what the control plane refused', async () => {
      reply = () => ({
        status: 404,
        body: { success: false, error: 'runtime_unknown', message: 'no bot-1', request_id: 'r' },
      });
      const { code, out } = await run('kill', 'bot-1', '--json');
      const { error_code, data } = JSON.parse(out);
      assert.deepEqual(
        [code, error_code, data],
        [1, 'runtime_unknown', { message: 'runtime_unknown: no bot-1', status: 404, request_id: 'r' }],
      );
    });

    it('says how to get an operator key when there is none', async () => {
      const { code, out } = await run('kill', 'bot-1', '--data', 'elsewhere', '--json');
      assert.deepEqual([code, JSON.parse(out).error_code], [1, 'operator_key_missing']);
    });

    it('says when nobody answers', async () => {
      const gone = await controlPlane(() => ({ body: {} }));
      await gone.close();
      const { code, out } = await lemma(folder.path, ['kill', 'bot-1', '--json', '--api-base', gone.base]);
      assert.deepEqual([code, JSON.parse(out).error_code], [1, 'unreachable']);
    });

    it('takes the operator key and the base from the environment', async () => {
      reply = () => ({ body: { success: true, enforced: true, seq: 7 } });
      await lemma(folder.path, ['kill', 'bot-1'], {
        LEMMA_OPERATOR_KEY: 'from-env',
        LEMMA_BASE_URL: plane.base,
      });
      assert.equal(plane.seen[0]?.authorization, 'Bearer from-env');
    });
  });

  describe('kill', () => {
    it('says that it is enforced, and by which event', async () => {
      reply = () => ({ body: { success: true, enforced: true, seq: 7 } });
      const { out } = await run('kill', 'bot-1', '--reason', 'it went wild');
      assert.deepEqual(
        [plane.seen[0]?.url, plane.seen[0]?.body, out],
        [
          '/api/wallet/runtimes/bot-1/kill',
          { reason: 'it went wild' },
          'bot-1 is killed: everything it asks for is denied (event 7)\n',
        ],
      );
    });

    it('says by when, as long as a node has not confirmed', async () => {
      reply = () => ({ body: { success: true, enforced: false, enforced_by: '2026-01-01T00:00:00Z' } });
      assert.match((await run('kill', 'bot-1')).out, /enforced by 2026-01-01T00:00:00Z at the latest/);
    });
  });

  describe('decisions', () => {
    const record = {
      time: 1790000000123,
      verdict: 'deny',
      reason: 'scope_denied',
      actor: { runtime_id: 'bot-1' },
      request: { method: 'GET', host: 'api.example.com', path: '/v1/\u001b[2Jx' },
      decision_id: 'd-1',
    };

    it('are listed as plain lines in a pipe, and steer no terminal', async () => {
      reply = () => ({ body: { success: true, decisions: [record], next_cursor: null } });
      assert.equal(
        (await run('decisions', 'list')).out,
        '2026-09-21T14:13:20.123Z\tdeny\tscope_denied\tbot-1\tGET api.example.com/v1/\\u{1b}[2Jx\td-1\n',
      );
    });

    it('are asked for page by page', async () => {
      reply = () => ({ body: { success: true, decisions: [], next_cursor: null } });
      await run('decisions', 'list', '--limit', '5', '--cursor', 'a b');
      assert.equal(plane.seen[0]?.url, '/api/wallet/runtimes/decisions?limit=5&cursor=a+b');
    });

    it('are explained: what decided, on which facts, and whether the same comes out again', async () => {
      const explanation = {
        decision_id: 'd-1',
        verdict: 'deny',
        reason: 'scope_denied',
        summary: 'Denied at the proof stage, scope_denied: documents.read is not granted.',
        failed: {
          check: 'scope_denied',
          message: 'documents.read is not granted',
          facts: { scope: ['a.b'] },
        },
        rules: [],
        evaluated_again: null,
        chain: [],
        bundle: null,
        events: [],
        record: { input: null },
        amended: [],
      };
      reply = () => ({ body: { success: true, explanation } });
      assert.deepEqual((await run('decisions', 'explain', 'd-1')).out.trimEnd().split('\n'), [
        'Why d-1 was denied',
        '  because  Denied at the proof stage, scope_denied: documents.read is not granted.',
        '  facts    scope = a.b',
        '  again    a check decided, before any policy',
      ]);
    });

    it('are exported as they come', async () => {
      reply = () => ({ body: '{"seq":1}\n{"seq":2}\n' });
      assert.equal((await run('decisions', 'export')).out, '{"seq":1}\n{"seq":2}\n');
    });

    it('are exported to a file, and counted', async () => {
      reply = () => ({ body: '{"seq":1}\n{"seq":2}\n' });
      const { out } = await run('decisions', 'export', '--out', 'log.ndjson', '--json');
      const text = readFileSync(join(folder.path, 'log.ndjson'), 'utf8');
      assert.deepEqual([JSON.parse(out).data.records, text], [2, '{"seq":1}\n{"seq":2}\n']);
    });

    it('are never exported over a file', async () => {
      reply = () => ({ body: '{"seq":1}\n' });
      writeFileSync(join(folder.path, 'log.ndjson'), 'mine');
      const { code } = await run('decisions', 'export', '--out', 'log.ndjson');
      assert.deepEqual([code, readFileSync(join(folder.path, 'log.ndjson'), 'utf8')], [1, 'mine']);
    });
  });
});
