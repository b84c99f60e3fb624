import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import { type Bundle, fileOf } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeBundles } from '../../src/policy/write-bundle.ts';
import { DATA_FILE } from '../../src/schema/bundle.ts';
import type { Profile } from '../../src/schema/common.ts';
import { bytes, merged, republished, withFile } from '../policy/support.ts';
import { type Agent, type Serving, serving } from '../support/serving.ts';
import { emptyFolder, lemma } from './lemma.ts';

interface Row {
  readonly decision_id: string;
  readonly route: string | null;
  readonly was: { readonly verdict: string; readonly reason: string } | null;
  readonly now: { readonly verdict: string; readonly reason: string } | null;
  readonly changed: boolean;
  readonly change: string | null;
  readonly why: string | null;
}

interface Answer {
  readonly code: number | null;
  readonly ok: boolean;
  readonly error_code: string | null;
  readonly data: {
    readonly counts: Record<string, number>;
    readonly decisions: readonly Row[];
    readonly left_out: number;
    readonly message?: string;
  };
}

describe('lemma replay', () => {
  let folder: ReturnType<typeof emptyFolder>;
  let service: Serving;
  let agent: Agent;
  /** By what was asked: an allowed read, a write without PoP, a path without a route. */
  let ids: Readonly<Record<'read' | 'write' | 'astray', string>>;

  const at = (...path: string[]) => join(folder.path, ...path);
  const run = (...args: string[]) =>
    lemma(folder.path, ['replay', ...args, '--api-base', service.controlBase]);
  const replay = async (...args: string[]): Promise<Answer> => {
    const { code, out } = await run(...args, '--json');
    return { code, ...JSON.parse(out) };
  };
  const rowOf = ({ data }: Answer, id: string) => {
    const row = data.decisions.find(({ decision_id }) => decision_id === id);
    assert.ok(row !== undefined, id);
    return row;
  };

  /** The profile's embedded bundle with other settings, in a folder of this name. */
  async function candidate(name: string, profile: Profile, settings: Record<string, unknown>): Promise<void> {
    const own = (await loadEmbedded()).find((bundle) => bundle.name === profile) as Bundle;
    const data = JSON.parse(new TextDecoder().decode(fileOf(own, DATA_FILE)));
    const changed = merged(data, { lemma: { [profile]: { settings } } });
    const bundle = republished(withFile(own, DATA_FILE, bytes(changed)), 100, `${profile}-${name}`);
    const key = fromBase64url(readFileSync(at('.lemma/keys/bundle.key'), 'utf8').trim());
    await writeBundles(at(name), [signBundle(bundle, key ?? new Uint8Array())]);
  }

  before(async () => {
    folder = emptyFolder();
    service = await serving(folder.path);
    agent = await service.onboard('bot');
    const asked = async (change: object) =>
      (await service.grpc({ ...agent.reading(), ...change })).decisionId;
    ids = {
      read: await asked({}),
      write: await asked({ method: 'PUT' }),
      astray: await asked({ path: '/elsewhere' }),
    };
    writeFileSync(at('request.ndjson'), '{"method":"GET","url":"https://api.example.com/v1/documents/7"}');
    writeFileSync(at('lemma.har'), '{"log":{}}');
    await candidate('same', 'low', {});
    await candidate('strict', 'low', { freshness_max_ms: -1 });
    await candidate('lax', 'high', { reading_methods: ['GET', 'PUT'] });
    const { code } = await lemma(folder.path, [
      ...['decisions', 'export', '--out', 'log.ndjson', '--api-base', service.controlBase],
    ]);
    assert.equal(code, 0);
  });
  after(async () => {
    await service?.end('SIGTERM');
    folder?.remove();
  });

  describe('with a candidate bundle', () => {
    it('changes nothing where the candidate says the same', async () => {
      const { code, data } = await replay('log.ndjson', '--bundle', 'same', '--fail-on', 'changed');
      assert.deepEqual([code, data.counts], [0, { ...NONE, total: 3, replayed: 3 }]);
    });

    it('shows what would be denied, with the reason then and now', async () => {
      const row = rowOf(await replay('log.ndjson', '--bundle', 'strict'), ids.read);
      assert.deepEqual(
        [row.route, row.was, row.now, row.changed, row.change],
        [
          'documents.read',
          { verdict: 'allow', reason: 'allowed' },
          { verdict: 'deny', reason: 'freshness_stale' },
          true,
          'newly_denied',
        ],
      );
    });

    it('shows what would be allowed, and ends with 1 where that is asked for', async () => {
      const answer = await replay('log.ndjson', '--bundle', 'lax', '--fail-on', 'newly-allowed');
      assert.deepEqual(
        [answer.code, answer.ok, answer.error_code, rowOf(answer, ids.write).change],
        [1, false, 'replay_newly_allowed', 'newly_allowed'],
      );
    });

    it('ends with 0 where something else changes than what is asked for', async () => {
      const { code, data } = await replay('log.ndjson', '--bundle', 'strict', '--fail-on', 'newly-allowed');
      assert.deepEqual([code, data.counts.newly_denied], [0, 1]);
    });

    it('ends with 1 on any change where that is asked for', async () => {
      const { code, error_code } = await replay('log.ndjson', '--bundle', 'strict', '--fail-on', 'changed');
      assert.deepEqual([code, error_code], [1, 'replay_changed']);
    });

    it('leaves to a check what a check decided', async () => {
      const row = rowOf(await replay('log.ndjson', '--bundle', 'lax'), ids.astray);
      assert.deepEqual([row.now?.reason, row.changed], ['route_unknown', false]);
      assert.match(row.why ?? '', /^route_unknown: a check decided/);
    });

    it('takes the log of the running service, by its filters', async () => {
      const { data } = await replay('--bundle', 'strict', '--route', 'documents.read');
      assert.deepEqual(
        data.decisions.map(({ decision_id }) => decision_id),
        [ids.read],
      );
    });

    it('takes single decisions by their ids', async () => {
      const { data } = await replay(ids.write, '--bundle', 'lax');
      assert.deepEqual(
        data.decisions.map(({ decision_id, change }) => [decision_id, change]),
        [[ids.write, 'newly_allowed']],
      );
    });

    it('takes a bundle that was published, by its revision', async () => {
      const published = await lemma(folder.path, [
        ...['policy', 'publish', 'strict/low', '--api-base', service.controlBase],
      ]);
      assert.equal(published.code, 0, published.err);
      assert.equal(
        rowOf(await replay('log.ndjson', '--bundle', 'low-strict'), ids.read).change,
        'newly_denied',
      );
    });

    it('lists what changes first, and says how many are left out', async () => {
      const { data } = await replay('log.ndjson', '--bundle', 'lax', '--limit', '1');
      assert.deepEqual([data.decisions[0]?.decision_id, data.left_out], [ids.write, 2]);
    });

    it('says rows in columns that a pipe can cut, and the sum', async () => {
      const { out } = await run('log.ndjson', '--bundle', 'lax', '--limit', '1');
      const [row = '', , sum] = out.split('\n');
      assert.deepEqual(row.split('\t'), [
        ids.write,
        'documents.write',
        'deny pop_required',
        'allow',
        'newly_allowed',
      ]);
      assert.equal(sum, '1 of 3 replayed decisions change with high high-lax');
    });

    it('evaluates no input that cannot be read back byte for byte', async () => {
      const line = readFileSync(at('log.ndjson'), 'utf8')
        .split('\n')
        .find((text) => text.includes(ids.read));
      // The same key twice: whoever reads it sees one of two.
      writeFileSync(at('odd.ndjson'), `${line?.replace('"input":{"v":1,', '"input":{"v":1,"v":1,')}\n`);
      const row = rowOf(await replay('odd.ndjson', '--bundle', 'strict'), ids.read);
      assert.deepEqual([row.now, row.changed], [null, false]);
      assert.match(row.why ?? '', /byte for byte/);
    });

    it('takes the later record of a decision for its verdict', async () => {
      const lines = readFileSync(at('log.ndjson'), 'utf8').split('\n');
      const first = lines.find((text) => text.includes(ids.read)) ?? '';
      const late = { ...JSON.parse(first), amends: true, verdict: 'deny', reason: 'runtime_killed' };
      const failed = { check: 'runtime_killed', message: 'it came late', facts: {} };
      writeFileSync(at('late.ndjson'), `${first}\n`);
      appendFileSync(at('late.ndjson'), `${JSON.stringify({ ...late, failed })}\n`);
      const { data } = await replay('late.ndjson', '--bundle', 'strict');
      assert.deepEqual(
        data.decisions.map(({ was, now }) => [was?.reason, now?.reason]),
        [['runtime_killed', 'runtime_killed']],
      );
    });
  });

  describe('through the PDP', () => {
    it('says the same while nothing has changed', async () => {
      const { data } = await replay('log.ndjson', '--through', 'pdp');
      assert.deepEqual(data.counts, { ...NONE, total: 3, replayed: 2, not_replayed: 1 });
      assert.match(rowOf({ data } as Answer, ids.astray).why ?? '', /^route_unknown: a check decided/);
    });

    it('sees that the runtime was contained, and that it is again as it was', async () => {
      await service.control('/api/wallet/runtimes/bot/contain', {});
      const contained = rowOf(await replay('--through', 'pdp', '--route', 'documents.read'), ids.read);
      await service.control('/api/wallet/runtimes/bot/resume', {});
      const resumed = rowOf(await replay(ids.read, '--through', 'pdp'), ids.read);
      assert.deepEqual(
        [contained.change, contained.now?.reason, resumed.changed],
        ['newly_denied', 'runtime_inactive', false],
      );
    });

    it('judges captured requests with the credential that they have', async () => {
      const { method, scheme, host, path, headers } = agent.reading();
      const line = { method, url: `${scheme}://${host}${path}`, headers: Object.fromEntries(headers) };
      const was = { verdict: 'deny', reason: 'runtime_inactive' };
      writeFileSync(at('captured.ndjson'), `${JSON.stringify({ ...line, ...was, decision_id: ids.read })}\n`);
      const row = rowOf(await replay('captured.ndjson', '--through', 'pdp'), ids.read);
      assert.deepEqual([row.route, row.was, row.change], ['documents.read', was, 'newly_allowed']);
    });

    it('leaves no record', async () => {
      const { data } = await replay('--through', 'pdp');
      assert.equal(data.counts.total, 3);
    });
  });

  const WRONG: readonly (readonly [what: string, args: readonly string[], why: RegExp])[] = [
    ['the firewall where none runs', ['log.ndjson'], /no local firewall is running/],
    ['two things to replay with', ['log.ndjson', '--bundle', 'same', '--through', 'pdp'], /say one of them/],
    ['another way than there is', ['log.ndjson', '--through', 'envoy'], /firewall or pdp/],
    ['a request for a candidate', ['request.ndjson', '--bundle', 'same'], /has no input yet/],
    ['an archive that is none', ['lemma.har', '--through', 'pdp'], /has no log\.entries/],
    ['to send records', ['log.ndjson', '--send', '--through', 'pdp'], /--send goes through the firewall/],
    ['a bundle that is not there', ['log.ndjson', '--bundle', './none'], /none/],
    ['a file that is not there', ['none.ndjson', '--bundle', 'same'], /none\.ndjson cannot be read/],
    ['a file of something else', ['lemma.yaml', '--bundle', 'same'], /lemma\.yaml, line 1: is neither/],
    [
      'filters beside a file',
      ['log.ndjson', '--bundle', 'same', '--runtime', 'bot'],
      /filters are for the log/,
    ],
    ['an unknown --fail-on', ['log.ndjson', '--bundle', 'same', '--fail-on', 'all'], /--fail-on must be/],
  ];
  for (const [what, args, why] of WRONG)
    it(`refuses ${what}`, async () => {
      const { code, error_code, data } = await replay(...args);
      const found = code === 1 ? error_code : null;
      assert.ok(
        code === 2 || ['bundle_missing', 'firewall_not_running'].includes(found ?? ''),
        `${code} ${error_code}`,
      );
      assert.match(data.message ?? '', why);
    });
});

const NONE = {
  total: 0,
  replayed: 0,
  not_replayed: 0,
  changed: 0,
  newly_allowed: 0,
  newly_denied: 0,
  other_reason: 0,
};
