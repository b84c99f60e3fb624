import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeyFileError } from '../../../src/authority/secret-file.ts';
import { CliError } from '../../../src/cli/exit.ts';
import { controlChannelPath, dataFolder, homeFolder, openHome } from '../../../src/cli/local/folder.ts';
import {
  readFirewallState,
  readSession,
  removeFirewallState,
  replaceFile,
  writeFirewallState,
  writeSession,
} from '../../../src/cli/local/state.ts';
import type { FirewallState, SessionState } from '../../../src/schema/local-state.ts';
import { emptyFolder } from '../lemma.ts';

const SESSION: SessionState = {
  v: 1,
  api_base: 'https://lemma.example.com',
  kind: 'device',
  token: 'lm_cs_secret',
  operator: 'owner',
  org: 'acme',
  env: 'prod',
  permissions: ['runtimes.read'],
  authority_keys: [],
  created_at: '2026-01-01T00:00:00.000Z',
  expires_at: '2026-01-01T12:00:00.000Z',
};

const FIREWALL: FirewallState = {
  v: 1,
  pid: 4711,
  instance: 'AAAAAAAAAAAAAAAAAAAAAA',
  mode: 'embedded',
  listen: '127.0.0.1:8787',
  control_channel: '/tmp/control.sock',
  control_plane: 'http://127.0.0.1:8080',
  operator_key_file: '/tmp/operator.key',
  data: '/tmp',
  config: null,
  org: 'local',
  env: 'default',
  version: '0.1.0',
  started_at: '2026-01-01T00:00:00.000Z',
};

describe("the user's folder", () => {
  let folder: ReturnType<typeof emptyFolder>;
  let home: string;
  beforeEach(() => {
    folder = emptyFolder();
    home = openHome({ env: { HOME: folder.path }, folder: folder.path });
  });
  afterEach(() => folder.remove());

  const file = (name: string) => join(home, name);
  const modeOf = (path: string) => statSync(path).mode & 0o777;

  it('is ~/.lemma, for its owner alone', () => {
    assert.deepEqual([home, modeOf(home)], [join(folder.path, '.lemma'), 0o700]);
  });

  it('is elsewhere where LEMMA_HOME says so', () => {
    const env = { HOME: folder.path, LEMMA_HOME: 'mine' };
    assert.equal(homeFolder({ env, folder: '/work' }), '/work/mine');
  });

  it('is refused when others may look into it', () => {
    chmodSync(home, 0o755);
    assert.throws(() => openHome({ env: { HOME: folder.path }, folder: '/' }), {
      name: 'KeyFileError',
      message: `${home}: is open to others (mode 755): its secrets may be known; if not, chmod 700 it`,
    });
  });

  it('is refused when it is a link', () => {
    const other = join(folder.path, 'other');
    symlinkSync(home, other);
    assert.throws(() => openHome({ env: { LEMMA_HOME: other }, folder: '/' }), KeyFileError);
  });

  it('keeps a session as it was given', () => {
    writeSession(home, SESSION);
    assert.deepEqual({ ...readSession(home) }, SESSION);
  });

  it('keeps what it has for its owner alone, and no draft of it', () => {
    writeSession(home, SESSION);
    writeSession(home, SESSION);
    assert.deepEqual([readdirSync(home), modeOf(file('session.json'))], [['session.json'], 0o600]);
  });

  it('says nothing of what is not there', () => {
    assert.deepEqual([readSession(home), readFirewallState(home)], [null, null]);
  });

  it('refuses a session that others may read, with the mend', () => {
    writeSession(home, SESSION);
    chmodSync(file('session.json'), 0o640);
    assert.throws(() => readSession(home), { message: /mode 640.*chmod 600/ });
  });

  it('refuses a session that is a link', () => {
    writeFileSync(file('elsewhere'), JSON.stringify(SESSION), { mode: 0o600 });
    symlinkSync(file('elsewhere'), file('session.json'));
    assert.throws(() => readSession(home), { message: /must not be a symbolic link/ });
  });

  it('writes in the place of a link, not through it', () => {
    writeFileSync(file('elsewhere'), 'mine');
    symlinkSync(file('elsewhere'), file('session.json'));
    writeSession(home, SESSION);
    assert.equal(lstatSync(file('session.json')).isSymbolicLink(), false);
  });

  for (const [what, text, message] of [
    ['no JSON', '{"v":', /is not JSON.*lemma session start/],
    ['a member twice', '{"v":1,"v":1}', /has the key "v" twice/],
    ['another version', JSON.stringify({ ...SESSION, v: 2 }), /v must be 1/],
    ['an unknown member', JSON.stringify({ ...SESSION, more: 1 }), /more unknown member/],
    ['a missing member', JSON.stringify({ ...SESSION, token: undefined }), /token missing/],
  ] as const) {
    it(`refuses ${what}`, () => {
      writeFileSync(file('session.json'), text, { mode: 0o600 });
      assert.throws(
        () => readSession(home),
        (error) => error instanceof CliError && error.code === 'state_invalid' && message.test(error.message),
      );
    });
  }

  it("takes away one firewall's state, and not another's", () => {
    writeFirewallState(home, FIREWALL);
    removeFirewallState(home, 'BBBBBBBBBBBBBBBBBBBBBB');
    const kept = readFirewallState(home);
    removeFirewallState(home, FIREWALL.instance);
    assert.deepEqual([{ ...kept }, readFirewallState(home)], [FIREWALL, null]);
  });

  it('has a control channel whose path a socket can have, however long its own is', () => {
    const long = join(folder.path, 'x'.repeat(120));
    const path = controlChannelPath(long);
    assert.ok(Buffer.byteLength(path) <= 103, path);
    assert.notEqual(path, controlChannelPath(`${long}y`));
  });

  it('leaves what was there when the new one cannot be written', () => {
    replaceFile(file('a'), 'before');
    mkdirSync(file('b'));
    assert.throws(() => replaceFile(file('b'), 'after'));
    assert.deepEqual(readdirSync(home), ['a', 'b']);
  });
});

describe('the data folder', () => {
  let folder: ReturnType<typeof emptyFolder>;
  beforeEach(() => {
    folder = emptyFolder();
  });
  afterEach(() => folder.remove());

  const found = (options: Record<string, unknown> = {}, env: Record<string, string> = {}) =>
    dataFolder({ env: { HOME: '/home/me', ...env }, folder: folder.path, options });

  it("is the user's where the project has none", () => {
    assert.equal(found(), '/home/me/.lemma');
  });

  it("is the project's where it has one", () => {
    mkdirSync(join(folder.path, '.lemma'));
    assert.equal(found(), join(folder.path, '.lemma'));
  });

  it('is what --data says, before LEMMA_DATA', () => {
    assert.deepEqual(
      [found({ data: 'mine' }, { LEMMA_DATA: 'other' }), found({}, { LEMMA_DATA: 'other' })],
      [join(folder.path, 'mine'), join(folder.path, 'other')],
    );
  });
});
