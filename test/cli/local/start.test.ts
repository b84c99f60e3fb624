import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { lemma } from '../lemma.ts';
import { apiAt, type Laptop, laptop, upstream } from './laptop.ts';

describe('the local firewall', () => {
  let computer: Laptop;
  beforeEach(() => {
    computer = laptop();
  });
  afterEach(() => computer.close());

  const states = () =>
    readdirSync(computer.home).filter((name) => /^(?:firewall\.json|control\.)/.test(name));

  it('takes a new user from nothing to an allowed request, a kill, and a denied one', async function () {
    if (spawnSync('curl', ['--version']).error !== undefined && process.env.CI !== 'true') this.skip();
    const started = await computer.json(['start', '--detach', '--listen', '127.0.0.1:0']);
    const connected = await computer.connect();
    // As a person would copy it.
    const curl = () =>
      JSON.parse(
        spawnSync('sh', ['-c', `${connected.data.next} -s`], { cwd: computer.folder }).stdout.toString(),
      );
    const allowed = curl();
    const elsewhere = join(computer.folder, 'elsewhere');
    mkdirSync(elsewhere);
    const killed = await lemma(elsewhere, ['kill', 'bot-1'], { HOME: join(computer.folder, 'home') });
    const denied = curl();
    const stopped = await computer.json(['stop']);
    assert.deepEqual(
      [started.code, connected.code, allowed.hello, killed.code, denied.error, stopped.data.stopped],
      [0, 0, 'from the upstream behind the firewall', 0, 'runtime_killed', true],
    );
    assert.deepEqual([connected.data.firewall.verified.with_proof.verdict, states()], ['allow', []]);
  });

  it('says who runs already, instead of starting twice', async () => {
    const { said } = await computer.start();
    const { code, error_code, data } = await computer.json(['start']);
    assert.deepEqual(
      [code, error_code, data.pid, data.listen],
      [1, 'already_running', said.pid, said.listen],
    );
  });

  it('takes over what a killed one left behind', async () => {
    const first = await computer.start();
    await first.end('SIGKILL');
    const left = states();
    const second = await computer.start();
    assert.deepEqual([left.length, computer.state().pid], [3, second.child.pid]);
  });

  it('ends on SIGTERM, and takes away what it made', async () => {
    const started = await computer.start();
    const code = await started.end('SIGTERM');
    assert.deepEqual([code, states()], [0, []]);
  });

  it('lets nobody else read what it keeps', async () => {
    await computer.start();
    const open = readdirSync(computer.home).filter(
      (name) => (statSync(join(computer.home, name)).mode & 0o077) !== 0,
    );
    assert.deepEqual(open, []);
  });

  it('is stopped when there is none to stop', async () => {
    const { code, data } = await computer.json(['stop']);
    assert.deepEqual([code, data], [0, { stopped: false }]);
  });

  it('listens on this machine alone', async () => {
    const { code, data } = await computer.json(['start', '--listen', '0.0.0.0:0']);
    assert.equal(code, 2);
    assert.match(data.message, /^firewall\.listen: must be a port on loopback/);
  });

  it('says what is wrong with a configuration, and where, in the background too', async () => {
    computer.configure({ firewall: { lissen: 'x' } });
    const { code, error_code, data } = await computer.json(['start', '--detach']);
    assert.deepEqual([code, error_code], [1, 'config_invalid']);
    assert.match(data.message, /^lemma\.yaml:2: firewall\.lissen: unknown key/);
  });

  it('serves the apis of lemma.yaml, and takes a changed file over', async () => {
    const behind = await upstream();
    computer.configure({ firewall: { apis: [apiAt(behind.origin)] } });
    await computer.start();
    await computer.connect();
    const before = await computer.ask('/firewall/more/x');
    computer.configure({ firewall: { apis: [apiAt(behind.origin, { id: 'more' })] } });
    const reloaded = await computer.channel('POST', '/reload');
    const after = await computer.ask('/firewall/more/x');
    await behind.close();
    assert.deepEqual(
      [before.body.error, reloaded.status, after.status, after.body],
      ['route_unknown', 200, 200, { text: 'ok' }],
    );
  });

  it('keeps what it has when the changed file is wrong', async () => {
    const behind = await upstream();
    computer.configure({ firewall: { apis: [apiAt(behind.origin)] } });
    await computer.start();
    await computer.connect();
    computer.configure({ firewall: { apis: 'none' } });
    const reloaded = await computer.channel('POST', '/reload');
    const after = await computer.ask('/firewall/notes/x');
    await behind.close();
    assert.deepEqual([reloaded.status, after.status], [400, 200]);
  });

  it('goes on from its own folder after a restart: a kill stays', async () => {
    const first = await computer.start();
    await computer.connect();
    await computer.run(['kill', 'bot-1']);
    await first.end();
    await computer.start();
    const { body } = await computer.ask('/firewall/hello/');
    assert.equal(body.error, 'runtime_killed');
  });
});
