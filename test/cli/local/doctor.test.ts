import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createSocket } from 'node:net';
import { join } from 'node:path';
import { MEANINGS } from '../../../src/cli/local/doctor/codes.ts';
import { toBase64url } from '../../../src/crypto/base64url.ts';
import { REASONS } from '../../../src/reason.ts';
import { type Laptop, laptop, upstream } from './laptop.ts';

const AWAY = 'https://127.0.0.1:1';

describe('lemma doctor', () => {
  let computer: Laptop;
  before(async function () {
    this.timeout(120_000);
    computer = laptop();
    await computer.start();
    await computer.connect();
  });
  after(() => computer.close());

  const contained = () => {
    const proxy = `http://${computer.state().listen}`;
    return { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
  };
  const seen = new Set<string>();
  const noted = (codes: string[]) => {
    for (const code of codes) seen.add(code);
    return codes;
  };
  const found = async (env: Record<string, string> = {}, ...args: string[]): Promise<string[]> => {
    const { data } = await computer.json(['doctor', ...args], { ...contained(), ...env });
    return noted(data.findings.map((one: { code: string }) => one.code));
  };
  const without = async (name: string, write: (path: string) => void): Promise<string[]> => {
    const path = join(computer.home, name);
    const text = readFileSync(path);
    // Read before firewall.json itself is spoilt.
    const env = contained();
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
    const { code, out } = await computer.run(['doctor'], contained());
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
    const { code, out } = await computer.run(['doctor', '--error', 'clock_skew'], contained());
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
    ['proof_missing', { LEMMA_PROOF_FILE: 'none.json' }],
  ];
  for (const [code, env] of environment)
    it(`finds ${code}`, async () => assert.deepEqual(await found(env), [code]));

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
    const { data } = await computer.json(['doctor', '--fix'], contained());
    assert.deepEqual(
      [data.mended[0].code, data.findings, statSync(computer.home).mode & 0o777],
      ['folder_open', [], 0o700],
    );
  });

  it('mends a credential file that is not the proof’s', async () => {
    const path = join(computer.home, 'bot-1.credential');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, 'AA');
    await computer.run(['doctor', '--fix'], contained());
    assert.equal(readFileSync(path, 'utf8'), text);
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
    const env = { ...contained(), LEMMA_HOME: home };
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
