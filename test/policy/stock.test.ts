import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { type Bundle, bundleOf } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine } from '../../src/policy/engine.ts';
import { isRego } from '../../src/policy/policy-files.ts';
import { checkTrust, PolicyRegistry, type Trust } from '../../src/policy/registry.ts';
import { regoOnly } from '../../src/policy/rego-only.ts';
import { ruleTextOf } from '../../src/policy/rule-text.ts';
import { signBundle } from '../../src/policy/signature.ts';
import { lacksEntrypoint } from '../../src/policy/stock.ts';
import { createTracer } from '../../src/policy/tracer.ts';
import { OPA_ALGORITHMS } from '../../src/schema/bundle.ts';
import { opaFolder } from '../support/opa.ts';
import { BUILTIN_CASES } from './compiler/builtin-cases.ts';
import { PATIENT_MS } from './compiler/support.ts';
import { nearInputs } from './near-inputs.ts';
import { buildStock, OPA_KEYS, signStock, trusting } from './stock-opa.ts';
import { allowedInput, bytes, denial, inputError, memoryArchive } from './support.ts';

const ENTRYPOINT = 'lemma/low/decision';
const META = { serial: 100, confirm: false, record: 'behind', headers: [], redact: [], envoy: false };
const MANIFEST = JSON.stringify({ roots: ['lemma/low'], metadata: { lemma: META } });
const INPUTS = 300;

const signedBy = (opaKeys: ReturnType<typeof trusting>): Trust => ({
  kind: 'signed',
  keys: [],
  opaKeys,
  now: 0,
});

describe('a bundle of stock `opa build -t wasm`', function () {
  this.timeout(PATIENT_MS);
  const opa = opaFolder();
  let sources: Record<string, string>;
  let files: Map<string, Uint8Array>;
  let bundle: Bundle;
  let own: Bundle;

  const policy = (body: string, more: Record<string, string> = {}) =>
    buildStock(opa, {
      files: { '.manifest': MANIFEST, 'low.rego': `package lemma.low\n\n${body}`, ...more },
      entrypoints: [ENTRYPOINT],
    });
  const trust = (of: ReadonlyMap<string, Uint8Array>, keys = trusting('ES256')) =>
    checkTrust(bundleOf(of), signedBy(keys));
  const refuses = (of: ReadonlyMap<string, Uint8Array>, message: RegExp, keys = trusting('ES256')) =>
    assert.throws(() => trust(of, keys), denial('bundle_rejected', message));
  const changed = (path: string, content: Uint8Array | null) => {
    const other = new Map(files);
    if (content === null) other.delete(path);
    else other.set(path, content);
    return other;
  };

  before(async () => {
    own = (await loadEmbedded()).find(({ name }) => name === 'low') as Bundle;
    const plain = [...regoOnly(own).files].map(([path, content]) => [
      path,
      new TextDecoder().decode(content),
    ]);
    sources = { ...Object.fromEntries(plain), '.manifest': MANIFEST };
    files = await buildStock(opa, { files: sources, entrypoints: [ENTRYPOINT], name: 'first' });
    bundle = bundleOf(files);
  });

  for (const algorithm of OPA_ALGORITHMS) {
    it(`comes into force where its key is trusted (${algorithm})`, async () => {
      const other = await buildStock(opa, { files: sources, entrypoints: [ENTRYPOINT], algorithm });
      const registry = new PolicyRegistry(memoryArchive());
      await registry.activate([bundleOf(other)], signedBy(trusting(algorithm)));
      assert.deepEqual(registry.active('low').ref.revision, 'r1');
    });
  }

  it('decides as the same Rego that Lemma built, and as `opa eval`, on every input', async () => {
    const inputs = [allowedInput('low'), ...fc.sample(nearInputs('low'), INPUTS)];
    const [stock, ours] = await Promise.all([compileEngine(bundle), compileEngine(own)]);
    const results = (engine: typeof stock) => inputs.map((input) => engine.evaluate(bytes(input)).result);
    await writeFile(join(opa.path, 'inputs.json'), JSON.stringify(inputs));
    const query = '[r | some each in input; r := data.lemma.low.decision with input as each]';
    const { out } = await opa.run('eval', '-b', 'first', '-i', 'inputs.json', '-f', 'raw', query);
    assert.deepEqual(results(stock), results(ours));
    assert.deepEqual(results(stock), JSON.parse(out));
  });

  it('shows the rule behind a reason where it is in its own Rego', () => {
    const rule = ruleTextOf(bundle, 'taint_ahead');
    assert.match(rule?.text ?? '', /^deny contains "taint_ahead"/);
    assert.match(rule?.file ?? '', /^first\/lemma\/low\/.*\.rego$/);
  });

  it('says why it is not traced: OPA left the entrypoint out of its Rego', async () => {
    const tracer = createTracer();
    const { error } = await tracer.trace(bundle, JSON.stringify(allowedInput('low')), 'full');
    await tracer.close();
    assert.deepEqual([lacksEntrypoint(bundle), /not there to be traced/.test(error ?? '')], [true, true]);
  });

  it('has no other name than the key of the configuration', () => {
    refuses(files, /"default", which bundles\.opa_keys lacks/, trusting('ES256', 'ci'));
  });
  it('is signed by the key of this name', () => {
    const other = new Map([['default', { algorithm: 'ES256', key: OPA_KEYS.EdDSA.publicKey } as const]]);
    refuses(files, /not of this key/, other);
  });
  it('is signed with the algorithm of its key', () => refuses(files, /ES256, where/, trusting('RS256')));
  it('is signed for the scope that is asked for', () => {
    refuses(files, /another scope/, trusting('ES256', 'default', 'write'));
  });
  it('names no key, and each that is trusted for its algorithm is tried', async () => {
    const unnamed = await signStock(opa, files);
    assert.doesNotThrow(() =>
      trust(unnamed, new Map([...trusting('RS256', 'a'), ...trusting('ES256', 'b')])),
    );
    refuses(unnamed, /ES256, for which no key is trusted/, trusting('RS256', 'a'));
  });
  it('is refused when its signature was stripped (GHSA-g2pf-6v5v-qcc8)', () => {
    refuses(changed('.signatures.json', null), /has no \.lemma-signature\.json; sign it/);
  });
  it('is refused when a file was changed', () => {
    refuses(changed('data.json', bytes({ lemma: { low: { settings: {} } } })), /data\.json differs/);
  });
  it('is refused when a file was added', () => {
    refuses(changed('more.rego', bytes('package lemma.low')), /not signed: more\.rego/);
  });
  it('is held to our signature where it has one too', () => {
    refuses(signBundle(bundle, new Uint8Array(32).fill(9)).files, /key that is not trusted/);
  });

  const LOW = 'default decision := {"allow": false, "reason": "x_no", "reasons": ["x_no"]}\n\n';
  const calls: readonly [name: string, call: string, mend: RegExp][] = [
    ['base64.decode', 'base64.decode(input.x) == "a"', /encode what you compare it with/],
    ['json.unmarshal', 'json.unmarshal(input.x).a', /parsed already/],
    ['internal.template_string', '$"a{input.x}" == "ab"', /use concat/],
    ['to_number', 'to_number(input.x) == 1', /have it as a number/],
  ];
  for (const [name, call, mend] of calls) {
    it(`may not call ${name}, although WebAssembly runs it: its line and the mend are said`, async () => {
      const made = await policy(
        `${LOW}decision := {"allow": true, "reason": "allowed", "reasons": []} if yes\n\nyes if ${call}\n`,
      );
      const line = new TextDecoder()
        .decode([...made].find(([path]) => isRego(path))?.[1])
        .split('\n')
        .findIndex((text) => text.startsWith('yes'));
      refuses(made, new RegExp(`low\\.rego:${line + 1}: calls ${name.replaceAll('.', '\\.')}, `));
      refuses(made, mend);
    });
  }
  it('may call all that a policy of ours may', async () => {
    const rules = Object.values(BUILTIN_CASES)
      .flat()
      .map(([expression, input], i) => {
        const names = Object.keys(input).map((name) => `\t${name} := input.${name}\n`);
        return `r${i} := result if {\n${names.join('')}\tresult := ${expression}\n}\n`;
      });
    const all = rules.map((_rule, i) => `r${i}`).join(', ');
    const made = await policy(`${LOW}decision := [${all}] if input.x\n\n${rules.join('\n')}`);
    assert.doesNotThrow(() => trust(made));
  });
  const hosted: readonly [call: string, message: RegExp][] = [
    [
      'http.send({"method": "get", "url": input.x}).status_code == 200',
      /low\.rego:\d+: calls http\.send, .*reads no network/,
    ],
    ['time.now_ns() > 1', /low\.rego:\d+: calls time\.now_ns, .*use input\.now/],
    ['opa.runtime().env.A == "b"', /low\.rego:\d+: calls opa\.runtime, .*data\.json/],
    ['rand.intn("a", 2) == 1', /low\.rego:\d+: calls rand\.intn, .*no randomness/],
    ['io.jwt.decode(input.x)[1].sub == "a"', /low\.rego:\d+: calls io\.jwt\.decode, .*read input\.proof/],
  ];
  for (const [call, message] of hosted) {
    it(`may not call ${call.split('(')[0]}: its line and the mend are said`, async () => {
      const made = await policy(
        `${LOW}decision := {"allow": true, "reason": "allowed", "reasons": []} if yes\n\nyes if ${call}\n`,
      );
      await assert.rejects(compileEngine(bundleOf(made)), inputError(message));
    });
  }
  it('may not call them in the rules of the entrypoint either, whose lines OPA leaves out', async () => {
    const made = await policy(`${LOW}decision := {"allow": true} if time.now_ns() > 1\n`);
    await assert.rejects(
      compileEngine(bundleOf(made)),
      inputError(/policy\.wasm: calls time\.now_ns, .*its line is not in the bundle/),
    );
  });

  it('says how to give it what it must say of itself', async () => {
    const made = await buildStock(opa, {
      files: { 'low.rego': 'package lemma.low\n\ndecision := 1' },
      entrypoints: [ENTRYPOINT],
    });
    assert.throws(() => bundleOf(made), inputError(/metadata: missing; say metadata\.lemma in a \.manifest/));
  });
  it('has one entrypoint', async () => {
    const made = await buildStock(opa, { files: sources, entrypoints: [ENTRYPOINT, 'lemma/low/deny'] });
    assert.throws(() => bundleOf(made), inputError(/wasm: .*one -e, lemma\/<profile>\/decision/));
  });
  it('has the entrypoint of its profile', async () => {
    const made = await buildStock(opa, { files: sources, entrypoints: ['lemma/low/deny'] });
    assert.throws(() => bundleOf(made), inputError(/wasm\[0\]\.entrypoint: .*give `opa build` -e/));
  });
  it('has a module', async () => {
    const { wasm: _wasm, ...rest } = JSON.parse(new TextDecoder().decode(files.get('.manifest'))) as {
      wasm: unknown;
    };
    const made = await signStock(opa, changed('.manifest', bytes(rest)));
    assert.throws(() => bundleOf(made), inputError(/wasm: missing; give `opa build` -t wasm/));
  });
  it('shows its Rego', async () => {
    const bare = [...files].filter(([path]) => !isRego(path));
    refuses(await signStock(opa, new Map(bare)), /holds no Rego/);
  });
  it('holds nothing else', async () => {
    refuses(await signStock(opa, changed('notes.txt', bytes('x'))), /notes\.txt: is no part of what/);
  });
  it('names no reason that a policy may not give, by its line', async () => {
    const body = `${LOW}deny contains "replay_detected" if input.x\n`;
    await assert.rejects(policy(body).then(bundleOf), inputError(/low\.rego:\d+: "replay_detected" is none/));
  });
});
