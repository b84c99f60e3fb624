import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { fromBase64url } from '../../src/crypto/base64url.ts';
import { type Bundle, bundleOf } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine } from '../../src/policy/engine.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { writeBundles } from '../../src/policy/write-bundle.ts';
import { DATA_FILE, MANIFEST_FILE } from '../../src/schema/bundle.ts';
import type { PolicyInput } from '../../src/schema/input.ts';
import { recordedLine } from '../pdp/impact/recorded.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { allowedInput } from '../policy/support.ts';
import { type Serving, serving } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';
import { emptyFolder, lemma } from './lemma.ts';

const POLICIES = fileURLToPath(new URL('../../policies', import.meta.url));

interface Told {
  readonly ok: boolean;
  readonly error_code: string | null;
  readonly data: {
    readonly message?: string;
    readonly records: number;
    readonly reproduced: { readonly equal: number; readonly not_equal: number };
    readonly counts: Readonly<Record<string, number>>;
    readonly changes: readonly { readonly kind: string; readonly decision_id: string }[];
    readonly not_comparable: readonly { readonly why: string }[];
  };
}

interface Shadowed {
  readonly bundles: readonly { readonly revision: string }[];
  readonly counts: Readonly<Record<string, number>>;
  readonly changes: readonly { readonly decision_id: string }[];
}

/** The default policies, of which `low` takes no state for a fresh one, and denies. */
async function stricter(): Promise<Bundle[]> {
  const change = (bundle: Bundle, path: string, edit: (text: string) => string) =>
    bundleOf(
      new Map([
        ...bundle.files,
        [path, Buffer.from(edit(Buffer.from(bundle.files.get(path) ?? []).toString('utf8')))],
      ]),
    );
  return (await loadEmbedded()).map((bundle) => {
    const data = change(bundle, DATA_FILE, (text) => text.replace('30000', '-1'));
    return change(data, MANIFEST_FILE, (text) =>
      text.replace(bundle.revision, `${bundle.name}-next`).replace(/"serial":\s*\d+/, '"serial": 500'),
    );
  });
}

describe('lemma policy impact', function () {
  this.timeout(2 * PATIENT_MS);
  let folder: ReturnType<typeof emptyFolder>;
  const at = (...path: string[]) => join(folder.path, ...path);
  const impact = async (...args: string[]) => {
    const { out, err, code } = await lemma(folder.path, ['policy', 'impact', ...args, '--json']);
    assert.notEqual(out, '', err);
    return { code, ...(JSON.parse(out) as Told) };
  };

  before(async () => {
    folder = emptyFolder();
    await writeBundles(at('next'), await stricter());
    const low = await compileEngine((await loadEmbedded()).find(({ name }) => name === 'low') as Bundle);
    const input = allowedInput('low') as unknown as PolicyInput;
    const lines = [1, 2, 3].map((n) => recordedLine(n, low, { ...input, now: input.now + n }));
    writeFileSync(at('decisions.ndjson'), `${lines.join('\n')}\n`);
    writeFileSync(at('decisions.ndjson.gz'), gzipSync(readFileSync(at('decisions.ndjson'))));
    writeFileSync(
      at('altered.ndjson'),
      (lines[0] ?? '').replace('"result":{"allow":true', '"result":{"allow":false'),
    );
  });
  after(() => folder.remove());

  for (const file of ['decisions.ndjson', 'decisions.ndjson.gz']) {
    it(`says what a candidate would change about ${file}`, async () => {
      const { code, ok, data } = await impact('next', '--against', file);
      assert.deepEqual([code, ok, data.records, data.reproduced.equal], [0, true, 3, 3]);
      assert.deepEqual(
        data.changes.map(({ kind }) => kind),
        Array(3).fill('newly_denied'),
      );
    });
  }

  it('reads an export from standard input', async () => {
    const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
    const args = [main, 'policy', 'impact', 'next', '--against', '-', '--json'];
    const child = spawn(process.execPath, args, { cwd: folder.path, stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end(readFileSync(at('decisions.ndjson.gz')));
    const told = JSON.parse(await text(child.stdout)) as Told;
    assert.equal(told.data.counts.newly_denied, 3);
  });

  const FAIL_ON: readonly (readonly [args: readonly string[], code: number, error: string | null])[] = [
    [['newly-denied'], 1, 'newly_denied'],
    [['newly-allowed'], 0, null],
    [['newly-allowed', 'newly-denied'], 1, 'newly_denied'],
    [['changed', 'error'], 0, null],
  ];
  for (const [classes, expected, error] of FAIL_ON) {
    it(`fails on ${classes.join(' and ')}: ${error ?? 'no'}`, async () => {
      const flags = classes.flatMap((one) => ['--fail-on', one]);
      const { code, error_code } = await impact('next', '--against', 'decisions.ndjson', ...flags);
      assert.deepEqual([code, error_code], [expected, error]);
    });
  }

  it('stops where a recorded result does not reproduce', async () => {
    const { code, error_code, data } = await impact('next', '--against', 'altered.ndjson');
    assert.deepEqual(
      [code, error_code, data.reproduced.not_equal, data.changes],
      [1, 'not_reproduced', 1, []],
    );
  });

  it('takes the bundles that decided from a folder', async () => {
    const [first] = await stricter();
    const engine = await compileEngine(first as Bundle);
    writeFileSync(at('later.ndjson'), recordedLine(1, engine, allowedInput('low') as unknown as PolicyInput));
    const own = fileURLToPath(new URL('../../bundles', import.meta.url));
    const without = await impact(own, '--against', 'later.ndjson');
    const found = await impact(own, '--against', 'later.ndjson', '--bundles', '.');
    assert.deepEqual(
      without.data.not_comparable.map(({ why }) => why),
      ['revision_missing'],
    );
    assert.equal(found.data.counts.newly_allowed, 1);
  });

  it('fails on decisions of which nothing is known, where it is told to', async () => {
    const own = fileURLToPath(new URL('../../bundles', import.meta.url));
    const { code, error_code } = await impact(
      own,
      '--against',
      'later.ndjson',
      '--fail-on',
      'not-comparable',
    );
    assert.deepEqual([code, error_code], [1, 'not_comparable']);
  });

  it('compiles a folder of policies', async function () {
    if (!wasmBuilt()) this.skip();
    cpSync(POLICIES, at('policies'), { recursive: true });
    const data = readFileSync(at('policies/low/data.json'), 'utf8');
    writeFileSync(at('policies/low/data.json'), data.replace('30000', '-1'));
    const { data: told } = await impact('--against', 'decisions.ndjson');
    assert.equal(told.counts.newly_denied, 3);
  });

  const WRONG: readonly (readonly [what: string, args: readonly string[], why: RegExp])[] = [
    ['nothing to compare with', ['next'], /--against/],
    [
      'a class that there is not',
      ['next', '--against', 'decisions.ndjson', '--fail-on', 'all'],
      /newly-allowed/,
    ],
    ['a time that is none', ['next', '--since', 'yesterday'], /7d/],
    ['a time for a file', ['next', '--against', 'decisions.ndjson', '--since', '7d'], /not for a file/],
    [
      'a folder of bundles that is not there',
      ['next', '--against', 'decisions.ndjson', '--bundles', 'no'],
      /no folder/,
    ],
  ];
  for (const [what, args, why] of WRONG) {
    it(`refuses ${what}`, async () => {
      const { code, data } = await impact(...args);
      assert.equal(code, 2);
      assert.match(data.message ?? '', why);
    });
  }

  describe('on the log of a running service', () => {
    let service: Serving;
    const asked = (...args: string[]) =>
      impact(...args, '--api-base', service.controlBase, '--data', at('service/.lemma'));

    before(async () => {
      mkdirSync(at('service'));
      service = await serving(at('service'));
      const agent = await service.onboard('bot');
      for (let n = 0; n < 3; n += 1) await service.grpc(agent.reading());
      await service.grpc({ ...agent.reading(), headers: [] });
    });
    after(() => service.end('SIGTERM'));

    it('evaluates its decisions, and says which were denied before a policy', async () => {
      const { data } = await asked('next', '--since', '1h');
      assert.deepEqual([data.reproduced.equal, data.counts.newly_denied], [3, 3], JSON.stringify(data));
      assert.deepEqual(
        data.not_comparable.map(({ why }) => why),
        ['denied_before_policy'],
      );
    });

    it('takes the bundles that decided, and published candidates, from the service', async () => {
      const seed =
        fromBase64url(readFileSync(at('service/.lemma/keys/bundle.key'), 'utf8').trim()) ?? new Uint8Array();
      await writeBundles(
        at('signed'),
        (await stricter()).map((bundle) => signBundle(bundle, seed)),
      );
      const operator = ['--api-base', service.controlBase, '--data', at('service/.lemma')];
      const published = await lemma(folder.path, [
        'policy',
        'publish',
        'signed/low',
        '--activate',
        ...operator,
      ]);
      assert.equal(published.code, 0, published.err);
      const agent = await service.onboard('bot-2');
      await service.grpc(agent.reading());
      const { data } = await asked(
        fileURLToPath(new URL('../../bundles', import.meta.url)),
        '--against',
        'low-next',
      );
      assert.deepEqual([data.records, data.counts.newly_allowed], [1, 1]);
      const back = await asked('low-next', '--since', '1h');
      assert.deepEqual([back.data.counts.same, back.data.counts.newly_denied], [1, 3]);
    });

    it('names a shadow, says what it would decide otherwise, and ends it', async () => {
      const operator = ['--api-base', service.controlBase, '--data', at('service/.lemma'), '--json'];
      const policy = async (...args: string[]) => {
        const { out, err } = await lemma(folder.path, ['policy', ...args, ...operator]);
        assert.notEqual(out, '', err);
        return (JSON.parse(out) as { data: Shadowed }).data;
      };
      await policy('rollback', 'low');
      const named = await policy('activate', '--shadow', 'low-next');
      const agent = await service.onboard('bot-3');
      const { decisionId, verdict } = await service.grpc(agent.reading());
      await eventually(async () => (await policy('shadow')).counts.newly_denied === 1);
      const { changes } = await policy('shadow');
      const off = await policy('shadow', '--off');
      assert.deepEqual([named.bundles.map(({ revision }) => revision), verdict], [['low-next'], 'allow']);
      assert.deepEqual(
        changes.map((change) => change.decision_id),
        [decisionId],
      );
      assert.deepEqual(off.bundles, []);
    });
  });
});
