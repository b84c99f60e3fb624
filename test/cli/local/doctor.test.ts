import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer as createSocket } from 'node:net';
import { join } from 'node:path';
import type { Call } from '../../../src/cli/command.ts';
import { MEANINGS } from '../../../src/cli/local/doctor/codes.ts';
import { diskAilments, nodeAilments } from '../../../src/cli/local/doctor/machine.ts';
import { behind } from '../../../src/cli/local/doctor/policies.ts';
import { expiryAilments } from '../../../src/cli/local/doctor/renewal.ts';
import { EXAMPLE_API } from '../../../src/cli/local/example.ts';
import { runtimeFiles } from '../../../src/cli/local/runtime-files.ts';
import { toBase64url } from '../../../src/crypto/base64url.ts';
import { REASONS } from '../../../src/reason.ts';
import { publish, told } from '../../pdp/support.ts';
import { certificateAuthority, needOpenssl } from '../../support/certificates.ts';
import { chain, credential } from '../../support/kit.ts';
import { apiAt, connectedLaptop, type Laptop, laptop, type Started, upstream } from './laptop.ts';

/** Signed by a root of another deployment, good now. */
function foreign(runtime_id: string): object {
  const now = Math.floor(Date.now() / 1000);
  const times = { issued_at: now - 60, not_before: now - 60, expires_at: now + 7200 };
  const claims = { runtime_id, agent_id: 'bot', workspace_id: 'prod', profile: 'low', taint_epoch: 0 };
  return credential(chain({ root: times, delegation: times, runtime: { ...times, claims } }));
}

const AWAY = 'https://127.0.0.1:1';

describe('lemma doctor', () => {
  let computer: Laptop;
  before(async function () {
    this.timeout(120_000);
    computer = await connectedLaptop();
  });
  after(() => computer.close());

  const seen = new Set<string>();
  const noted = (codes: string[]) => {
    for (const code of codes) seen.add(code);
    return codes;
  };
  const found = async (env: Record<string, string> = {}, ...args: string[]): Promise<string[]> => {
    const { data } = await computer.json(['doctor', ...args], { ...computer.contained(), ...env });
    return noted(data.findings.map((one: { code: string }) => one.code));
  };
  const without = async (name: string, write: (path: string) => void): Promise<string[]> => {
    const path = join(computer.home, name);
    const text = readFileSync(path);
    // Read before firewall.json itself is spoilt.
    const env = computer.contained();
    try {
      write(path);
      const { data } = await computer.json(['doctor'], env);
      return noted(data.findings.map((one: { code: string }) => one.code));
    } finally {
      rmSync(path, { force: true });
      writeFileSync(path, text, { mode: 0o600 });
    }
  };
  const has = (codes: readonly string[], code: string) => assert.ok(codes.includes(code), codes.join(' '));

  it('finds nothing, with exit code 0, where nothing is wrong', async () => {
    const { code, out } = await computer.run(['doctor'], computer.contained());
    assert.deepEqual([code, out], [0, 'Nothing is wrong\n']);
  });

  it('says findings with exit code 1', async () => {
    const { code, error_code, data } = await computer.json(['doctor']);
    assert.deepEqual([code, error_code, data.findings[0].code], [1, 'findings', 'proxy_unset']);
  });

  it('refuses an --error that is no code, and names the nearest', async () => {
    const { code, err } = await computer.run(['doctor', '--error', 'wallet_unlock_require']);
    assert.equal(code, 2);
    assert.match(err, /wallet_unlock_required/);
  });

  it('explains a code that is not found here', async () => {
    const { code, out } = await computer.run(['doctor', '--error', 'clock_skew'], computer.contained());
    assert.equal(code, 0);
    assert.match(out, /^Not found here: clock_skew: /);
  });

  it('takes localhost for the firewall that it is', async () => {
    const port = computer.state().listen.split(':')[1];
    const good = { ANTHROPIC_BASE_URL: `http://localhost:${port}/firewall/anthropic` };
    assert.deepEqual(await found(good), []);
  });

  const environment: readonly [string, Record<string, string>][] = [
    ['proxy_unset', { HTTPS_PROXY: 'http://127.0.0.1:1' }],
    ['proxy_exceptions', { NO_PROXY: 'example.org' }],
    ['secret_in_environment', { LEMMA_API_KEY: 'secret' }],
    ['provider_key_exposed', { OPENAI_API_KEY: 'secret' }],
    ['base_url_bypass', { ANTHROPIC_BASE_URL: 'https://example.org' }],
    ['provider_key_exposed', { GEMINI_API_KEY: 'secret' }],
    ['base_url_bypass', { GOOGLE_GEMINI_BASE_URL: 'https://example.org' }],
    ['proxy_elsewhere', { OPENCLAW_PROXY_URL: 'http://127.0.0.1:1' }],
    ['proxy_elsewhere', { ALL_PROXY: 'socks5://127.0.0.1:1' }],
    ['node_ignores_proxy', { NODE_USE_ENV_PROXY: '0' }],
    ['proof_missing', { LEMMA_PROOF_FILE: 'none.json' }],
  ];
  for (const [code, env] of environment)
    it(`finds ${code}: ${Object.keys(env).join()}`, async () => assert.deepEqual(await found(env), [code]));

  const files: readonly [string, string, (path: string) => void][] = [
    ['file_open', 'bot-1.key', (path) => chmodSync(path, 0o644)],
    ['key_exposed', 'bot-1.key', (path) => chmodSync(path, 0o644)],
    ['key_missing', 'bot-1.key', (path) => rmSync(path)],
    ['key_invalid', 'bot-1.key', (path) => writeFileSync(path, 'AA')],
    ['key_mismatch', 'bot-1.key', (path) => writeFileSync(path, toBase64url(new Uint8Array(32)))],
    ['credential_mismatch', 'bot-1.credential', (path) => writeFileSync(path, 'AA')],
    ['proof_unusable', 'bot-1.proof.json', (path) => writeFileSync(path, '[')],
    ['state_invalid', 'firewall.json', (path) => writeFileSync(path, '{')],
  ];
  for (const [code, name, write] of files)
    it(`finds ${code}`, async () => has(await without(name, write), code));

  it('finds file_link', async () => {
    const codes = await without('bot-1.credential', (path) => {
      rmSync(path);
      symlinkSync('bot-1.key', path);
    });
    has(codes, 'file_link');
  });

  it('mends a folder that is open to others', async () => {
    chmodSync(computer.home, 0o755);
    const { data } = await computer.json(['doctor', '--fix'], computer.contained());
    assert.deepEqual(
      [data.mended[0].code, data.findings, statSync(computer.home).mode & 0o777],
      ['folder_open', [], 0o700],
    );
  });

  describe('of a key that was open to others', () => {
    const open = async () => {
      chmodSync(join(computer.home, 'bot-1.key'), 0o644);
      return computer.json(['doctor', '--fix'], computer.contained());
    };
    const first = (data: { findings: { code: string; mend: string }[] }) => data.findings[0];

    it('closes the file, and still says that the key may be known', async () => {
      const { code, data } = await open();
      noted([first(data)?.code ?? '']);
      assert.deepEqual([code, first(data)?.code], [1, 'secret_may_be_known']);
      assert.match(first(data)?.mend ?? '', /doctor --fix --error secret_may_be_known/);
    });

    it('makes no other key unless that is asked for by name', async () => {
      await open();
      const before = readFileSync(join(computer.home, 'bot-1.key'), 'utf8');
      const { data } = await computer.json(['doctor', '--fix'], computer.contained());
      assert.deepEqual(
        [readFileSync(join(computer.home, 'bot-1.key'), 'utf8'), first(data)?.code],
        [before, 'secret_may_be_known'],
      );
    });

    it('makes another key, takes the old one back, and then finds nothing', async () => {
      await open();
      const old = readFileSync(join(computer.home, 'bot-1.credential'), 'utf8');
      const args = ['doctor', '--fix', '--error', 'secret_may_be_known'];
      const { code, data } = await computer.json(args, computer.contained());
      assert.deepEqual([code, data.mended[0].ok, data.findings], [0, true, []], JSON.stringify(data));
      const url = `http://${computer.state().listen}/firewall/${EXAMPLE_API}/`;
      const answer = await fetch(url, { headers: { 'x-lemma-credential': old } });
      assert.equal(((await answer.json()) as { error: string }).error, 'revoked');
      assert.deepEqual(await found(), []);
    });
  });

  it('mends a credential file that is not the proof’s', async () => {
    const path = join(computer.home, 'bot-1.credential');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, 'AA');
    await computer.run(['doctor', '--fix'], computer.contained());
    assert.equal(readFileSync(path, 'utf8'), text);
  });

  describe('of the chain of the proof', () => {
    const proofAt = (name: string, proof: object) => {
      const path = join(computer.folder, name);
      writeFileSync(path, JSON.stringify(proof), { mode: 0o600 });
      return { LEMMA_PROOF_FILE: path };
    };

    it('finds root_untrusted: the firewall does not take its root', async () => {
      has(await found(proofAt('other.proof.json', foreign('bot-1'))), 'root_untrusted');
    });

    it('finds signature_invalid: somebody changed it', async () => {
      const proof = JSON.parse(readFileSync(join(computer.home, 'bot-1.proof.json'), 'utf8'));
      has(
        await found(proofAt('bent.proof.json', { ...proof, expires_at: proof.expires_at - 1 })),
        'signature_invalid',
      );
    });

    it('finds revoked: a link was taken back', async () => {
      await computer.json([
        'firewall-connect',
        '--runtime-id',
        'gone',
        '--agent-id',
        'a',
        '--workspace-id',
        'w',
      ]);
      const path = join(computer.home, 'gone.proof.json');
      const { id } = JSON.parse(readFileSync(path, 'utf8'));
      await computer.run(['revoke', 'gone', '--proof', id, '--reason', 'lost']);
      const codes = await found({ LEMMA_PROOF_FILE: path });
      for (const ending of ['proof.json', 'credential', 'key']) rmSync(join(computer.home, `gone.${ending}`));
      has(codes, 'revoked');
    });

    it('finds root_untrusted by the keys of the control plane where no firewall runs', async () => {
      const env = { LEMMA_HOME: join(computer.folder, 'keys-only'), LEMMA_OPERATOR_KEY: operatorKey() };
      const base = computer.state().control_plane;
      const own = { LEMMA_PROOF_FILE: join(computer.home, 'bot-1.proof.json') };
      const codes = [
        await found({ ...env, ...own }, '--api-base', base),
        await found({ ...env, ...proofAt('third.proof.json', foreign('bot-1')) }, '--api-base', base),
      ];
      assert.deepEqual(
        codes.map((one) => one.includes('root_untrusted')),
        [false, true],
      );
    });
  });

  const operatorKey = () => readFileSync(computer.state().operator_key_file ?? '', 'utf8').trim();

  describe('of a proof that ends soon', () => {
    const ending = () => JSON.parse(readFileSync(join(computer.home, 'bot-1.proof.json'), 'utf8')).expires_at;
    const look = (left_s: number) => {
      const env = { HOME: join(computer.folder, 'home') };
      const call = { options: {}, env, folder: computer.folder, program: 'lemma' } as unknown as Call;
      const runtime = runtimeFiles(computer.home, 'bot-1');
      return expiryAilments({ runtime, call }, (ending() - left_s) * 1000);
    };

    it('is a warning while there is time, an error within five minutes', () => {
      const seen = [3500, 800, 200].map((left) => look(left).map(({ severity }) => severity));
      noted(look(200).map(({ code }) => code));
      assert.deepEqual(seen, [[], ['warning'], ['error']]);
    });

    it('is renewed without an operator, and works', async () => {
      const before = ending();
      assert.match(String(await look(200)[0]?.fix?.()), /was renewed until/);
      assert.ok(ending() > before);
      const { body } = await computer.ask(`/firewall/${EXAMPLE_API}/`);
      assert.equal(body.error, undefined);
    });
  });

  describe('of a firewall that took not what its files say now', () => {
    const noteLike = async (started: Started, pattern: RegExp) => {
      while (!started.notes.some((note) => pattern.test(note))) await once(started.lines, 'line');
    };

    it('finds config_not_reloaded, until it takes it', async () => {
      const other = laptop();
      try {
        other.configure({ firewall: { apis: [apiAt('https://api.example.com')] } });
        const started = await other.start();
        const look = async () => {
          const { data } = await other.json(['doctor'], other.contained());
          return noted(data.findings.map((one: { code: string }) => one.code));
        };
        other.configure({ firewall: { apis: [apiAt('https://api.example.com', { risk: 'none' })] } });
        await noteLike(started, /CONFIGURATION NOT RELOADED/);
        has(await look(), 'config_not_reloaded');
        other.configure({ firewall: { apis: [apiAt('https://api.example.com', { risk: 'high' })] } });
        await noteLike(started, /Configuration reloaded/);
        assert.ok(!(await look()).includes('config_not_reloaded'));
        await started.end('SIGKILL');
        const codes = await look();
        has(codes, 'state_stale');
        has(codes, 'firewall_not_running');
      } finally {
        await other.close();
      }
    }).timeout(120_000);

    it('finds bundles_not_reloaded', async () => {
      const other = laptop();
      try {
        const source = join(other.folder, 'bundles');
        const bundles = await publish(source, told, { serial: 3 });
        other.configure({ firewall: { apis: [apiAt('https://api.example.com')] }, bundles });
        const started = await other.start();
        rmSync(join(source, 'low', 'policy.wasm'));
        await noteLike(started, /BUNDLES NOT RELOADED/);
        const { data } = await other.json(['doctor'], other.contained());
        has(noted(data.findings.map((one: { code: string }) => one.code)), 'bundles_not_reloaded');
      } finally {
        await other.close();
      }
    }).timeout(120_000);

    it('finds bundle_behind by what is in force at the control plane', () => {
      const kept = [
        { name: 'low', revision: 'low-2', active: true },
        { name: 'low', revision: 'low-1', active: false },
        { name: 'high', revision: 'high-1', active: true },
      ];
      const here = (low: string) => [
        { name: 'low', revision: low },
        { name: 'high', revision: 'high-1' },
      ];
      const codes = behind(here('low-1'), kept).map(({ code }) => code);
      assert.deepEqual([noted(codes), behind(here('low-2'), kept)], [['bundle_behind'], []]);
    });
  });

  it('finds node_outdated', () => {
    assert.deepEqual(noted(nodeAilments('22.18.0').map(({ code }) => code)), ['node_outdated']);
    assert.deepEqual(nodeAilments('24.0.0'), []);
  });

  it('finds disk_full, where less is free than is needed', () => {
    const codes = diskAilments(computer.folder, Number.MAX_SAFE_INTEGER).map(({ code }) => code);
    assert.deepEqual([noted(codes), diskAilments(computer.folder, 1)], [['disk_full'], []]);
  });

  it('finds tls_untrusted, and not where its authority is named', async function () {
    needOpenssl(this);
    const authority = certificateAuthority(computer.folder);
    const { cert, key } = authority.issue('control', { names: ['IP:127.0.0.1'] });
    const server = createHttps({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) =>
      response.end('{}'),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const base = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const codes = [
      await found({}, '--api-base', base),
      await found({ NODE_EXTRA_CA_CERTS: authority.cert }, '--api-base', base),
    ];
    server.closeAllConnections();
    server.close();
    assert.deepEqual(
      codes.map((one) => one.includes('tls_untrusted')),
      [true, false],
    );
  });

  it('finds control_plane_unreachable and wallet_unlock_required', async () => {
    const codes = await found({}, '--api-base', AWAY);
    assert.deepEqual(codes, ['control_plane_unreachable', 'wallet_unlock_required']);
  });

  it('looks at one code alone with --error', async () => {
    const codes = await found({}, '--api-base', AWAY, '--error', 'wallet_unlock_required');
    assert.deepEqual(codes, ['wallet_unlock_required']);
  });

  it('finds clock_skew by the Date of the control plane', async () => {
    const late = await upstream((_, response) => {
      response.setHeader('date', new Date(Date.now() - 120_000).toUTCString());
      response.end('{}');
    });
    const codes = await found({}, '--api-base', late.origin);
    await late.close();
    has(codes, 'clock_skew');
  });

  it('finds config_invalid', async () => {
    const path = join(computer.folder, 'bad.yaml');
    writeFileSync(path, 'nonsense: 1\n');
    has(await found({}, '--config', path), 'config_invalid');
  });

  it('finds port_taken and firewall_not_running', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const env = { LEMMA_HOME: join(computer.folder, 'other') };
    const codes = await found(env, '--listen', `127.0.0.1:${port}`);
    server.close();
    has(codes, 'port_taken');
    has(codes, 'firewall_not_running');
  });

  const session = (over: object) => {
    const home = join(computer.folder, 'signed');
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const text = JSON.stringify({
      v: 1,
      api_base: AWAY,
      kind: 'device',
      token: 'secret',
      operator: 'ann',
      org: 'default',
      env: 'default',
      permissions: [],
      authority_keys: [],
      created_at: '2026-01-01T00:00:00Z',
      expires_at: null,
      ...over,
    });
    writeFileSync(join(home, 'session.json'), text, { mode: 0o600 });
    return { LEMMA_HOME: home };
  };

  it('finds session_expired', async () => {
    has(await found(session({ expires_at: '2026-01-02T00:00:00Z' })), 'session_expired');
  });

  it('finds session_revoked, by what the control plane says of the token', async () => {
    has(await found(session({ api_base: computer.state().control_plane })), 'session_revoked');
  });

  it('finds session_elsewhere', async () => {
    has(await found(session({}), '--api-base', 'https://127.0.0.1:2'), 'session_elsewhere');
  });

  it('finds state_stale, and takes the stale state away', async () => {
    const home = join(computer.folder, 'stale');
    mkdirSync(home, { mode: 0o700 });
    const state = { ...computer.state(), control_channel: join(home, 'control.sock') };
    writeFileSync(join(home, 'firewall.json'), JSON.stringify(state), { mode: 0o600 });
    const env = { ...computer.contained(), LEMMA_HOME: home };
    const { data } = await computer.json(['doctor', '--fix', '--error', 'state_stale'], env);
    assert.deepEqual([data.mended.map((one: { ok: boolean }) => one.ok), data.findings], [[true], []]);
  });

  it('finds control_channel_silent', async () => {
    const home = join(computer.folder, 'silent');
    mkdirSync(home, { mode: 0o700 });
    const control_channel = join(home, 'control.sock');
    const socket = createSocket().listen(control_channel);
    await once(socket, 'listening');
    const state = { ...computer.state(), control_channel };
    writeFileSync(join(home, 'firewall.json'), JSON.stringify(state), { mode: 0o600 });
    writeFileSync(join(home, 'control.secret'), 'secret', { mode: 0o600 });
    const codes = await found({ LEMMA_HOME: home });
    socket.close();
    has(codes, 'control_channel_silent');
  }).timeout(20_000);

  it('has a meaning for every code that it finds', () => {
    assert.deepEqual(
      [...seen].filter((code) => !Object.hasOwn(MEANINGS, code) && !Object.hasOwn(REASONS, code)),
      [],
    );
  });
});
