import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Laptop, laptop } from '../cli/local/laptop.ts';
import { needPart } from '../support/envoy-scene.ts';
import { freePort, installOpenclaw, openclawIn } from '../support/openclaw.ts';

const TOKEN = 'gateway-token-of-a-test';

describe('lemma setup-openclaw with a real OpenClaw', function () {
  this.timeout(300_000);
  let computer: Laptop;
  let openclaw: ReturnType<typeof openclawIn>;
  let port: number;
  let gateway: { stop(): Promise<void> } | null = null;

  before(async function () {
    const start = await needPart(this, 'real OpenClaw', installOpenclaw);
    computer = laptop();
    const home = join(computer.folder, 'home');
    openclaw = openclawIn(start, home);
    port = await freePort();
    mkdirSync(join(home, '.openclaw'));
    const config = `// mine
{
  gateway: { mode: 'local', port: ${port}, bind: 'loopback', auth: { mode: 'token', token: '${TOKEN}' } },
  agents: { defaults: { workspace: '~/w', }, }, // mine too
}
`;
    writeFileSync(join(home, '.openclaw', 'openclaw.json'), config);
    await computer.start();
    await computer.json(['setup-openclaw', '--yes']);
    gateway = await openclaw.gateway(port);
  });
  after(async () => {
    await gateway?.stop();
    await computer?.close();
  });

  async function invoke(tool: string) {
    const answer = await fetch(`http://127.0.0.1:${port}/tools/invoke`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ tool, args: {} }),
    });
    return (await answer.json()) as { ok: boolean; error?: { type: string; message: string } };
  }

  it('leaves a configuration that OpenClaw takes', async () => {
    const { valid, warnings } = JSON.parse(await openclaw.run('config', 'validate', '--json'));
    deepEqual([valid, warnings], [true, []]);
  });

  it('installs a plugin that OpenClaw loads, with the hook', async () => {
    const said = JSON.parse(
      await openclaw.run('plugins', 'inspect', 'lemma-firewall', '--runtime', '--json'),
    );
    deepEqual(
      [said.plugin.status, said.typedHooks.map(({ name }: { name: string }) => name)],
      ['loaded', ['before_tool_call']],
    );
  });

  it('proves itself through OpenClaw: classes denied while contained, a call allowed after', async () => {
    const { data } = await computer.json(['setup-openclaw', '--yes']);
    deepEqual([data.posture, data.gateway.state, data.changed], ['DEGRADED', 'hooked', false]);
    match(data.gateway.allowed, /^dec_/);
    const denied = data.gateway.denied.filter(({ outcome }: { outcome: string }) => outcome === 'denied');
    ok(denied.length >= 5, JSON.stringify(data.gateway));
    const codes = data.gaps.map(({ code }: { code: string }) => code);
    deepEqual([codes.includes('unproven_classes'), codes.includes('gateway_not_running')], [true, false]);
  });

  it('has the next call denied from the moment of a kill, and none while the firewall is away', async () => {
    equal((await invoke('session_status')).ok, true);
    await computer.run(['kill', 'openclaw']);
    match(
      (await invoke('session_status')).error?.message ?? '',
      /^Lemma: session_status was denied: runtime_killed \(decision dec_/,
    );
    await computer.run(['stop']);
    match((await invoke('session_status')).error?.message ?? '', /the Lemma firewall did not answer/);
  });
});
