import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateKey, keyFromSeed } from '../../src/client/index.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import { parentHash, signedBytes } from '../../src/proof/signing.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { installFolder } from '../../tools/proxy/pypi.ts';
import { needPart } from '../support/envoy-scene.ts';
import { chain, credential, header, keys, NOW } from '../support/kit.ts';
import { placed, programs } from './page.ts';
import { openScene, type Scene } from './scene.ts';

const MODULE = fileURLToPath(new URL('../../tools/clients/python', import.meta.url));
const CRYPTOGRAPHY = { name: 'cryptography', requirement: 'cryptography==48.0.0' };
const REQUESTS = { name: 'requests', requirement: 'requests==2.34.2' };

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('the Python module', function () {
  this.timeout(180_000);
  let path: string;
  before(async function () {
    const folders = await needPart(this, 'Python with cryptography and requests', () =>
      Promise.all([CRYPTOGRAPHY, REQUESTS].map((one) => installFolder(one, { dependencies: true }))),
    );
    path = [MODULE, ...folders].join(delimiter);
  });

  function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
    const options = { env: { PATH: process.env.PATH, PYTHONPATH: path, ...env } };
    return new Promise((resolve) =>
      execFile('python3', [...args], options, (error, stdout, stderr) =>
        resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
      ),
    );
  }

  /** Runs a program that has `job`, and gives what it prints as JSON. */
  async function python(program: string, job: object): Promise<unknown> {
    const lines = ['import json, sys', 'import lemma_client as lc', 'job = json.loads(sys.argv[1])', program];
    const { code, stdout, stderr } = await run(['-c', lines.join('\n'), JSON.stringify(job)]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as unknown;
  }

  it('has the bytes of the vectors that are signed, and of what a child names its parent by', async () => {
    const { links } = JSON.parse(readFileSync(new URL('../vectors/bytes.json', import.meta.url), 'utf8')) as {
      links: { lemma: Lemma; signed_bytes: string }[];
    };
    const program = `print(json.dumps([[lc.signed_bytes(l).decode(), lc.parent_hash(l)] for l in job["links"]]))`;
    const lemmas = links.map(({ lemma }) => lemma);
    assert.deepEqual(
      await python(program, { links: lemmas }),
      links.map(({ lemma, signed_bytes }) => [
        signed_bytes,
        parentHash(signedBytes(lemma), Buffer.from(lemma.signature, 'base64url')),
      ]),
    );
  });

  const requests: readonly (readonly [string, string, string])[] = [
    ['GET', 'https://api.example.com/v1/documents/42', ''],
    ['GET', 'https://API.example.com:443?a=1&b=%20', ''],
    ['POST', 'http://api.example.com:8080/v1/a%20b?', '{"a":"ü"}'],
  ];
  for (const [method, url, text] of requests) {
    it(`signs ${method} ${url} byte for byte as this project does`, async () => {
      const links = chain();
      const [body, nonce] = [new TextEncoder().encode(text), 'n'.repeat(24)];
      const proof = header(links);
      const signed = signPop({ method, url, proof, body, seed: keys.runtime.seed, created: NOW, nonce });
      const program = `
proof = lc.Proof(job["credential"], lc.from_base64url(job["seed"]))
signed = proof.headers(job["method"], job["url"], job["text"].encode("utf-8"), job["now"], job["nonce"])
print(json.dumps({name.lower(): value for name, value in signed.items()}))`;
      const seed = toBase64url(keys.runtime.seed);
      const job = { credential: credential(links), seed, method, url, text, now: NOW, nonce };
      assert.deepEqual(await python(program, job), signed);
    });
  }

  const impossible: readonly (readonly [string, string, RegExp])[] = [
    [
      'another origin',
      'proof.request("GET", "https://other.example.com/")',
      /is not in the proof's audience/,
    ],
    ['a path that is not in its normal form', 'proof.headers("GET", "https://a/b//c")', /normal form/],
    ['a space in a URL', 'proof.headers("GET", "https://a/b c")', /normal form/],
    ['a user in a URL', 'proof.headers("GET", "https://me@a/b")', /without a user/],
    ['a run that is too long', 'proof.narrow("job", 1, ttl_s=901)', /ttl_s: 1 to 900/],
    ['a run without a name', 'proof.narrow("", 1)', /^run_id/],
    ["somebody else's key", 'lc.Proof(job["credential"], bytes(32))', /^seed: /],
    ['a root', 'lc.Proof(job["credential"]["chain"][0])', /^credential: /],
  ];
  for (const [what, call, problem] of impossible) {
    it(`says what is wrong with ${what}`, async () => {
      const program = `
proof = lc.Proof(job["credential"], lc.from_base64url(job["seed"]))
try:
    ${call}
    print(json.dumps("nothing"))
except lc.LemmaError as error:
    print(json.dumps(str(error)))`;
      const seed = toBase64url(keys.runtime.seed);
      assert.match(String(await python(program, { credential: credential(chain()), seed })), problem);
    });
  }

  describe('against a real firewall and control plane', () => {
    let scene: Scene;
    let job: Record<string, unknown>;
    const seed = new Uint8Array(32).fill(9);
    const folder = mkdtempSync(join(tmpdir(), 'lemma-python-'));
    before(async () => {
      scene = await openScene({ real: true });
      const { publicKey } = await keyFromSeed(seed);
      const issued = await scene.onboard('python-1', publicKey);
      const [gateway, control] = [scene.gateway, scene.control];
      job = { credential: issued, seed: toBase64url(seed), gateway, control };
      job.read = scene.url('read');
      job.write = scene.url('write');
      job.purge = scene.url('purge');
    });
    after(async () => {
      await scene?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const PROOF = `
proof = lc.Proof(job["credential"], lc.from_base64url(job["seed"]))
to = [job["gateway"]]`;

    it('signs requests of urllib, with and without a body', async () => {
      const program = `${PROOF}
print(json.dumps([
    proof.request("GET", job["read"] + "?a=%20", gateways=to)[0],
    proof.request("PUT", job["write"], '{"a":"ü"}'.encode("utf-8"), {"Content-Type": "application/json"}, to)[0],
    proof.request("POST", job["write"], gateways=to)[0],
    proof.request("DELETE", job["write"], gateways=to)[0],
]))`;
      assert.deepEqual(await python(program, job), [200, 200, 200, 200]);
    });

    it('signs those of requests: text, JSON, a form, none; and no stream', async () => {
      const program = `${PROOF}
import requests
auth = proof.auth(to)
ask = lambda method, url, **more: requests.request(method, url, auth=auth, allow_redirects=False, **more).status_code
answers = [
    ask("GET", job["read"], params={"q": "a b"}),
    ask("PUT", job["write"], data="ü"),
    ask("PUT", job["write"], json={"a": 1}),
    ask("POST", job["write"], files={"file": b"abc"}),
    ask("POST", job["write"]),
]
try:
    ask("POST", job["write"], data=(part for part in [b"a"]))
except lc.LemmaError as error:
    answers.append(str(error)[:4])
print(json.dumps(answers))`;
      assert.deepEqual(await python(program, job), [200, 200, 200, 200, 200, 'body']);
    });

    it('shows a bearer where it has no key, and says what is denied', async () => {
      const program = `${PROOF}
bearer = lc.Proof(job["credential"])
answers = [bearer.request("GET", job["read"], gateways=to)[0]]
try:
    bearer.request("PUT", job["write"], b"x", gateways=to)
except lc.Denied as denied:
    answers += [denied.reason, denied.status, denied.decision_id[:4]]
print(json.dumps(answers))`;
      assert.deepEqual(await python(program, job), [200, 'pop_required', 401, 'dec_']);
    });

    it('makes a run that may do what is critical, as often as it says', async () => {
      const program = `${PROOF}
run = proof.narrow("job-1", 1, scope=["documents.admin"], bounds={"methods": ["POST"]})
answers = [run.request("POST", job["purge"], b"{}", {"Content-Type": "application/json"}, to)[0]]
try:
    run.request("POST", job["purge"], b"{}", {"Content-Type": "application/json"}, to)
except lc.Denied as denied:
    answers.append(denied.reason)
print(json.dumps(answers))`;
      assert.deepEqual(await python(program, job), [200, 'budget_exhausted']);
    });

    it('renews, and goes on with the next proof', async () => {
      const program = `${PROOF}
renewed = proof.renewed(job["control"])
other = renewed.credential["id"] != job["credential"]["id"]
print(json.dumps([other, renewed.request("PUT", job["write"], b"x", gateways=to)[0]]))`;
      assert.deepEqual(await python(program, job), [true, 200]);
    });

    it('is a program too, with the files that the command line writes', async () => {
      const [proofFile, keyFile] = [join(folder, 'bot.proof.json'), join(folder, 'bot.key')];
      // Of an audience that is the firewall's own: it goes there with no more said.
      const { publicKey } = await keyFromSeed(seed);
      const issued = await scene.onboard('python-2', publicKey);
      writeFileSync(proofFile, JSON.stringify(issued));
      writeFileSync(keyFile, toBase64url(seed));
      const env = { LEMMA_PROOF_FILE: proofFile, LEMMA_KEY_FILE: keyFile };
      const answer = await run(
        [join(MODULE, 'lemma_client.py'), 'GET', `${scene.upstream.origin}/v1/a`],
        env,
      );
      assert.deepEqual([answer.code, answer.stdout], [0, '200 from the upstream\n'], answer.stderr);
      assert.match(scene.upstream.lines('x-lemma-pop').at(-1) ?? '', /^input=/);
    });

    it('is used on its page as it stands, but for where things are', async () => {
      const { publicKey } = await keyFromSeed(seed);
      const issued = await scene.onboard('python-4', publicKey);
      writeFileSync(join(folder, 'my-runtime.proof.json'), JSON.stringify(issued));
      writeFileSync(join(folder, 'my-runtime.key'), toBase64url(seed));
      const [program = ''] = programs('python');
      const places = { 'https://api.example.com': scene.upstream.origin, '.lemma': folder };
      const lines = [placed(program, places), 'print(status, body, run.credential["claims"]["run_id"])'];
      const answer = await run(['-c', lines.join('\n')]);
      assert.equal(answer.stdout, "200 b'from the upstream' nightly\n", answer.stderr);
    });

    it('is denied after a kill', async () => {
      const key = await generateKey();
      const issued = await scene.onboard('python-3', key.publicKey);
      await scene.service.control('/api/wallet/runtimes/python-3/kill', {});
      const program = `
try:
    lc.Proof(job["credential"]).request("GET", job["read"], gateways=[job["gateway"]])
except lc.Denied as denied:
    print(json.dumps(denied.reason))`;
      assert.equal(await python(program, { ...job, credential: issued }), 'runtime_killed');
    });
  });
});
