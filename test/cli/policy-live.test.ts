import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { toBase64url } from '../../src/crypto/base64url.ts';
import type { Explanation } from '../../src/schema/explanation.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { keyNamed } from '../support/kit.ts';
import { type Agent, type Serving, servedConfig, serving } from '../support/serving.ts';
import { emptyFolder, lemma } from './lemma.ts';

const POLICIES = fileURLToPath(new URL('../../policies', import.meta.url));
const AUTHOR = keyNamed('policy author');

interface Built {
  readonly revision: string;
  readonly sha256: string;
}

/** An author and a running `lemma serve`, each with processes of their own, that share a folder of bundles. */
describe('policies of a running service', function () {
  this.timeout(2 * PATIENT_MS);
  let folder: ReturnType<typeof emptyFolder>;
  let service: Serving;
  let agent: Agent;
  let first: Built;

  const at = (...path: string[]) => join(folder.path, ...path);
  const policy = (...args: string[]) => lemma(folder.path, ['policy', ...args, '--json']);
  const edit = (file: string, from: string | RegExp, to: string) => {
    const before = readFileSync(at('policies', file), 'utf8');
    const after = before.replaceAll(from, to);
    assert.notEqual(after, before);
    writeFileSync(at('policies', file), after);
  };
  const signed = ['--sign-key', 'author.key'];

  /** Gives the bundle of low. */
  async function build(serial: number, ...more: string[]): Promise<Built> {
    const { out, err, code } = await policy('build', '--out', 'bundles', '--serial', String(serial), ...more);
    assert.equal(code, 0, err);
    const [low] = (JSON.parse(out) as { data: { bundles: Built[] } }).data.bundles;
    assert.ok(low !== undefined);
    return low;
  }

  async function decided(): Promise<Explanation> {
    return explained((await service.grpc(agent.reading())).decisionId);
  }

  async function explained(id: string): Promise<Explanation> {
    const { body } = await service.control(`/api/wallet/runtimes/decisions/${id}/explain`);
    return body.explanation as Explanation;
  }

  /** Does it, and waits for what the service says to it. */
  async function heard(pattern: RegExp, act: () => unknown): Promise<string> {
    const from = service.notes.length;
    await act();
    return service.noted(pattern, from);
  }

  before(async function () {
    if (!wasmBuilt()) this.skip();
    folder = emptyFolder();
    cpSync(POLICIES, at('policies'), { recursive: true });
    writeFileSync(at('author.key'), `${toBase64url(AUTHOR.seed)}\n`, { mode: 0o600 });
    first = await build(5, ...signed);
    const keys = [{ kty: 'OKP', crv: 'Ed25519', x: toBase64url(AUTHOR.public) }];
    writeFileSync(at('lemma.yaml'), stringify({ ...servedConfig(), bundles: { source: './bundles', keys } }));
    service = await serving(folder.path);
    agent = await service.onboard('bot');
  });

  after(async () => {
    await service?.end('SIGTERM');
    folder?.remove();
  });

  it('follow an edited threshold: check, test, build, and the next decision has the new revision', async () => {
    const earlier = await decided();
    assert.deepEqual([earlier.verdict, earlier.bundle?.revision], ['allow', first.revision]);

    edit('low/data.json', '30000', '20000');
    assert.equal((await policy('check')).code, 0);
    assert.equal((await policy('test')).code, 1);
    edit('low/decision_test.rego', /3000([01])/g, '2000$1');
    assert.equal((await policy('test', '--coverage')).code, 0);
    let next = first;
    await heard(/^Policy low is now /, async () => {
      next = await build(6, ...signed);
    });

    const [then, now] = [await explained(earlier.decision_id), await decided()];
    assert.notEqual(next.revision, first.revision);
    assert.deepEqual([now.verdict, now.bundle?.revision], ['allow', next.revision]);
    assert.deepEqual([then.bundle?.revision, then.evaluated_again?.equal], [first.revision, true]);
    assert.match(then.bundle?.rego?.['lemma/low/decision.rego'] ?? '', /package lemma\.low/);
  });

  it('are said to be new once, all three together', async () => {
    const from = service.notes.length;
    await heard(/^Policy critical is now /, () => build(7, ...signed));
    cpSync(at('bundles'), at('good'), { recursive: true });
    const said = service.notes.slice(from).filter((note) => /^Policy|BUNDLES/.test(note));
    assert.deepEqual(
      said.map((note) => note.split(' ')[1]),
      ['low', 'high', 'critical'],
    );
  });

  const REFUSED: readonly (readonly [what: string, act: () => unknown, why: RegExp])[] = [
    ['an older serial', () => build(4, ...signed), /bundle_rollback: .*serial 4/],
    ['bundles that nobody signed', () => build(20), /bundle_rejected: .*sign it with a trusted key/],
    ['half of a bundle', () => rmSync(at('bundles/low/policy.wasm')), /low: policy\.wasm: missing/],
    ['two of three bundles', () => rmSync(at('bundles/high'), { recursive: true }), /high: .*ENOENT/],
    [
      'a bundle that was touched',
      () => writeFileSync(at('bundles/low/data.json'), '{"lemma":{"low":{}}}'),
      /bundle_rejected: .*sha256 differs/,
    ],
  ];

  for (const [what, act, why] of REFUSED) {
    it(`stay where the folder holds ${what}, which is said aloud`, async () => {
      const from = service.notes.length;
      const before = (await decided()).bundle;
      await heard(why, act);
      await service.noted(/^BUNDLES NOT RELOADED/, from);
      const after = await decided();
      assert.deepEqual([after.verdict, after.bundle], ['allow', before]);
      for (const name of ['low', 'high', 'critical'])
        rmSync(at('bundles', name), { recursive: true, force: true });
      cpSync(at('good'), at('bundles'), { recursive: true });
    });
  }

  it('are taken once the folder is whole again', async () => {
    await heard(/low: .*ENOENT/, () => rmSync(at('bundles/low'), { recursive: true }));
    const next = await heard(/^Policy low is now /, () => build(30, ...signed));
    assert.equal((await decided()).bundle?.revision, next.split(' ')[4]);
  });
});
