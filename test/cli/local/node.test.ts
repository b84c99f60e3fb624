import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { publicKeyOf, randomBytes } from '#runtime';
import type { FirewallStatus } from '../../../src/cli/local/status.ts';
import { fromBase64url } from '../../../src/crypto/base64url.ts';
import { decodeCredential } from '../../../src/proof/decode.ts';
import { credentialOf, encodeCredential, issueRun } from '../../../src/proof/issue.ts';
import { signPop } from '../../../src/proof/sign-pop.ts';
import { type Serving, servedConfig, serving } from '../../support/serving.ts';
import { emptyFolder } from '../lemma.ts';
import { apiAt, type Envelope, type Laptop, laptop, type Started, upstream } from './laptop.ts';

interface World {
  readonly service: Serving;
  readonly computer: Laptop;
  /** Logs in with an API key of these permissions. */
  logIn(...permissions: string[]): Promise<Envelope>;
  close(): Promise<void>;
}

/** A control plane, and a computer where somebody is to follow it as the operator of an API key. */
async function world(): Promise<World> {
  const behind = await upstream((_, response) => void response.end('what a page says'));
  const plane = emptyFolder();
  // What proofs may hold there is what its own routes name.
  const routes = [routeTo(behind.origin, 'notes.use'), routeTo(behind.origin, 'pay.use')];
  writeFileSync(join(plane.path, 'lemma.yaml'), stringify({ ...servedConfig(), routes }));
  const service = await serving(plane.path);
  const computer = laptop();
  const pay = { id: 'pay', risk: 'critical', scope: ['pay.use'], action: 'pay.use' };
  computer.configure({
    firewall: {
      apis: [
        apiAt(behind.origin),
        apiAt(behind.origin, { id: 'page', taint_on_response: true }),
        apiAt(behind.origin, pay),
      ],
    },
  });
  return {
    service,
    computer,
    async logIn(...permissions) {
      const { body } = await service.control('/api/wallet/api-keys', { name: 'laptop', permissions });
      const env = { LEMMA_API_KEY: String(body.token ?? body.api_key) };
      return computer.json(['login', '--api-base', service.controlBase], env);
    },
    async close() {
      await computer.close();
      await behind.close();
      await service.end('SIGTERM');
      plane.remove();
    },
  };
}

const LAPTOP = ['runtimes.read', 'runtimes.write', 'runtimes.stop', 'nodes.connect'];

describe('a local firewall that follows a control plane', () => {
  let here: World;
  let started: Started;
  let connected: Envelope;
  before(async function () {
    this.timeout(120_000);
    here = await world();
    await here.logIn(...LAPTOP);
    started = await here.computer.start();
    connected = await here.computer.connect();
  });
  after(() => here.close());

  it('starts by the session alone', () => {
    const { mode, control_plane, operator_key_file } = started.said;
    assert.deepEqual([mode, control_plane, operator_key_file], ['node', here.service.controlBase, null]);
  });

  it('verifies a new runtime end to end', () => {
    const { without_proof, with_proof } = connected.data.firewall.verified;
    assert.deepEqual([without_proof.reason, with_proof.verdict], ['auth_required', 'allow']);
  });

  it('says how old its state is', async () => {
    const { body } = await here.computer.channel('GET', '/status');
    const { connected: answers, freshness } = body as unknown as FirewallStatus;
    assert.deepEqual([answers, freshness.source, freshness.age_ms < 30_000], [true, 'lease', true]);
  });

  it('denies what was killed there, from the answer `enforced` on', async () => {
    const { computer, service } = here;
    const { data } = await computer.connect('--runtime-id', 'bot-2');
    const { body } = await service.control('/api/wallet/runtimes/bot-2/kill', {});
    const headers = { 'x-lemma-credential': readFileSync(data.files.credential, 'utf8') };
    const after = await computer.ask('/firewall/notes/x', { plain: true, headers });
    assert.deepEqual([body.enforced, after.body.error], [true, 'runtime_killed']);
  });

  it('raises the taint there before the answer is here', async () => {
    const { computer, service } = here;
    const epoch = async () => {
      const { body } = await service.control('/api/wallet/runtimes/bot-1');
      return (body.runtime as { taint_epoch: number }).taint_epoch;
    };
    const before = await epoch();
    const answer = await computer.ask('/firewall/page/x');
    assert.deepEqual([answer.body, (await epoch()) - before], [{ text: 'what a page says' }, 1]);
  });
});

describe('a local firewall whose control plane is gone', () => {
  let here: World;
  let key: string;
  before(async function () {
    this.timeout(120_000);
    here = await world();
    await here.logIn(...LAPTOP);
    await here.computer.start();
    const { data } = await here.computer.connect('--scope', 'notes.use', '--scope', 'pay.use');
    key = data.files.key;
    assert.equal((await pay()).status, 200);
    await here.service.end('SIGTERM');
  });
  after(() => here.close());

  /** A critical request, as its profile wants it: by a run, signed. */
  function pay() {
    const { computer } = here;
    const created = Math.floor(Date.now() / 1000);
    const links = decodeCredential(readFileSync(join(computer.home, 'bot-1.credential'), 'utf8'));
    const leaf = links.at(-1);
    const seed = fromBase64url(readFileSync(key, 'utf8'));
    if (leaf === undefined || seed === null) throw new Error('no proof, or no key');
    const own = randomBytes(32);
    const claims = { run_id: 'run-1', budget: { operations: 100 } };
    const terms = {
      key: publicKeyOf(own),
      audience: leaf.audience,
      scope: ['pay.use'],
      issued_at: created,
      expires_at: created + 300,
    };
    const proof = encodeCredential(credentialOf([...links, issueRun(leaf, seed, claims, terms)]));
    const url = `http://${computer.state().listen}/firewall/pay/x`;
    const headers = signPop({ method: 'GET', url, proof, seed: own, created });
    return computer.ask('/firewall/pay/x', { plain: true, headers });
  }

  it('goes on with what is of low risk, as long as its profile lets it', async () => {
    assert.equal((await here.computer.ask('/firewall/notes/x')).status, 200);
  });

  it('lets nothing critical through, which asks for a fresh word', async () => {
    assert.equal((await pay()).body.error, 'freshness_stale');
  });

  it('gives nothing of a tainting answer away, since nobody can be told', async () => {
    const { status, body } = await here.computer.ask('/firewall/page/x');
    assert.deepEqual([status, body.error], [503, 'state_not_ready']);
  });
});

describe('lemma start, of a control plane elsewhere,', () => {
  let here: World;
  before(async function () {
    this.timeout(120_000);
    here = await world();
  });
  after(() => here.close());

  it('takes no state that another key has signed', async () => {
    await here.logIn(...LAPTOP);
    const session = join(here.computer.home, 'session.json');
    const stored = JSON.parse(readFileSync(session, 'utf8'));
    writeFileSync(session, JSON.stringify({ ...stored, authority_keys: ['A'.repeat(43)] }), { mode: 0o600 });
    const { code, error_code, data } = await here.computer.json(['start']);
    assert.deepEqual([code, error_code], [2, 'config_invalid']);
    assert.match(data.message, /control\.keys/);
  });

  it('says what the session lacks', async () => {
    await here.logIn('runtimes.read');
    const { code, error_code, data } = await here.computer.json(['start']);
    assert.deepEqual([code, error_code], [1, 'forbidden']);
    assert.match(data.message, /nodes\.connect/);
  });

  it('leaves it alone with --embedded', async () => {
    await here.logIn(...LAPTOP);
    const { said, end } = await here.computer.start(['--embedded']);
    await end();
    assert.equal(said.mode, 'embedded');
  });

  it('says where to sign in, where nobody is', async () => {
    const { code, error_code } = await here.computer.json(['start', '--api-base', 'https://lemma.invalid']);
    assert.deepEqual([code, error_code], [1, 'session_missing']);
  });
});

function routeTo(origin: string, action: string): object {
  return {
    id: action,
    host: '127.0.0.1',
    path: `/${action}`,
    methods: ['GET'],
    api: 'upstream',
    action,
    scope: [action],
    audience: origin,
    risk: 'low',
  };
}
