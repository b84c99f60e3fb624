import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text as bodyOf } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import JSON5 from 'json5';
import { type Laptop, laptop } from '../laptop.ts';

/** A part of OpenClaw's own examples, with what a person adds to it. */
const CONFIG = `// OpenClaw, at home
{
  gateway: { port: 1, auth: { mode: "token", token: 'not-yours' } }, // nobody answers there
  agents: {
    defaults: { workspace: "~/.openclaw/workspace", model: { primary: "anthropic/claude" } },
  },
  channels: { whatsapp: { allowFrom: ["+15555550123"] } },
  plugins: {
    allow: ['discord'],
    entries: { discord: { enabled: true }, }, // chat
  },
  x_mine: [1, 0x2, +3,],
}
`;

describe('lemma setup-openclaw', function () {
  this.timeout(120_000);
  let computer: Laptop;
  let file: string;
  let plugin: string;

  before(async () => {
    computer = laptop();
    file = join(computer.folder, 'home', '.openclaw', 'openclaw.json');
    plugin = join(computer.home, 'openclaw', 'lemma-firewall');
    mkdirSync(join(file, '..'));
    await computer.start();
  });
  after(() => computer.close());
  beforeEach(() => existsSync(plugin) || writeFileSync(file, CONFIG));

  const setup = (...args: string[]) => computer.json(['setup-openclaw', ...args]);
  const text = () => readFileSync(file, 'utf8');

  it('changes nothing before somebody said yes', async () => {
    const { code, error_code } = await setup();
    deepEqual([code, error_code, text()], [2, 'approval_needed', CONFIG]);
  });

  it('shows what it would change, and changes nothing', async () => {
    const { code, data } = await setup('--dry-run');
    equal(code, 0);
    ok(data.changes[0].diff.includes('+    allow: [\'discord\', "lemma-firewall"],'));
    deepEqual(
      [text(), existsSync(plugin), existsSync(join(computer.home, 'setup.json'))],
      [CONFIG, false, false],
    );
  });

  for (const [name, config, code] of [
    ['plugins that are off', '{ plugins: { enabled: false } }', 'plugins_disabled'],
    ['a plugin that is denied', "{ plugins: { deny: ['lemma-firewall'] } }", 'plugins_disabled'],
    ['no JSON5', '{ plugins: ', 'config_unreadable'],
    ['another shape', '{ plugins: { load: 1 } }', 'config_unreadable'],
  ] as const)
    it(`refuses ${name}, before anything is changed`, async () => {
      writeFileSync(file, config);
      const { error_code } = await setup('--yes');
      deepEqual([error_code, text(), existsSync(plugin)], [code, config, false]);
    });

  it('leaves the runtime contained where an operator contained it while it was checked', async () => {
    let contained = false;
    const openclaw = createServer(async (request, response) => {
      const { tool } = JSON.parse(await bodyOf(request));
      if (tool === 'session_status' && !contained) {
        contained = true;
        equal((await computer.json(['contain', 'openclaw', '--reason', 'incident'])).code, 0);
      }
      const message = `Lemma: ${tool} was denied: runtime_inactive (decision none)`;
      response.end(JSON.stringify({ error: { type: 'tool_error', message } }));
    });
    openclaw.listen(0, '127.0.0.1');
    await once(openclaw, 'listening');
    const { port } = openclaw.address() as AddressInfo;
    writeFileSync(file, `{ gateway: { port: ${port} } }`);
    try {
      const { error_code } = await setup('--yes');
      const { body } = await computer.channel('GET', '/runtimes/openclaw');
      const { status } = body.runtime as { status: string };
      deepEqual([error_code, status], ['contained_meanwhile', 'inactive']);
    } finally {
      openclaw.close();
      await computer.json(['resume', 'openclaw']);
      await setup('--undo', '--force');
    }
  });

  describe('once it is done', () => {
    let done: Awaited<ReturnType<typeof setup>>;
    before(async () => {
      writeFileSync(file, CONFIG);
      done = await setup('--yes');
    });
    after(() => setup('--undo', '--force'));

    it('has shown each class of tools allowed, and denied after a kill, in the log of the firewall', async () => {
      const { code, error_code, data } = done;
      deepEqual([code, error_code, data.posture], [1, 'degraded', 'DEGRADED']);
      deepEqual(
        [data.kill_to_deny.before.verdict, data.kill_to_deny.after.reason, data.classes.length],
        ['allow', 'runtime_killed', 12],
      );
      const { body } = await computer.channel('GET', '/decisions');
      const seen = new Set(
        (body.decisions as { decision_id: string }[]).map(({ decision_id }) => decision_id),
      );
      for (const { class: id, allowed, denied } of data.classes) {
        deepEqual([allowed.verdict, denied.reason], ['allow', 'runtime_killed'], id);
        ok(seen.has(allowed.decision_id) && seen.has(denied.decision_id), id);
      }
    });

    it('keeps what the file had, comments and all', () => {
      const config = JSON5.parse(text());
      const { discord: _, ...entries } = config.plugins.entries;
      const own = { firewall: `http://${computer.state().listen}`, agent: 'openclaw' };
      deepEqual(entries, { 'lemma-firewall': { enabled: true, config: own } });
      deepEqual([config.plugins.allow, config.plugins.load.paths], [['discord', 'lemma-firewall'], [plugin]]);
      const kept = CONFIG.split('\n').filter((line) => !/^ *(?:allow|entries):/.test(line));
      ok(kept.every((line) => text().includes(line)) && text().includes('}, // chat'));
    });

    it('names what it does not cover', () => {
      const codes = done.data.gaps.map(({ code }: { code: string }) => code);
      const known = ['gateway_not_running', 'other_harness', 'local_run', 'egress'];
      ok(known.every((code) => codes.includes(code)));
    });

    it('leaves the runtime itself alive', async () => {
      const { data } = await computer.json(['runtimes', 'list']);
      const status = Object.fromEntries(
        data.runtimes.map((one: { runtime_id: string; status: string }) => [one.runtime_id, one.status]),
      );
      deepEqual(status, { openclaw: 'active', 'openclaw-check': 'killed' });
    });

    it('changes nothing the second time, and proves it again', async () => {
      const files = () => [text(), readFileSync(join(computer.home, 'openclaw.proof.json'), 'utf8')];
      const before = files();
      const { data } = await setup('--yes');
      deepEqual(
        [data.changed, data.config.changed, data.classes.length, files()],
        [false, false, 12, before],
      );
    });

    it('is not undone over what was changed since', async () => {
      const before = text();
      writeFileSync(file, '{}');
      const { code, error_code } = await setup('--undo');
      deepEqual([code, error_code, text(), existsSync(plugin)], [1, 'config_changed', '{}', true]);
      writeFileSync(file, before);
    });

    it('is undone to the byte', async () => {
      const { code, data } = await setup('--undo');
      deepEqual([code, data.undone, text(), existsSync(plugin)], [0, true, CONFIG, false]);
      deepEqual(readdirSync(join(file, '..')), ['openclaw.json']);
      equal((await setup('--undo')).data.undone, false);
    });

    it('makes a file where there is none', async () => {
      const elsewhere = join(computer.folder, 'none', 'openclaw.json');
      const { data } = await setup('--yes', '--config', elsewhere);
      equal(data.config.backup, null);
      equal(JSON5.parse(readFileSync(elsewhere, 'utf8')).plugins.load.paths.length, 1);
    });
  });

  describe('the plugin', () => {
    type Blocked = { block: boolean; blockReason: string } | undefined;

    /** As OpenClaw registers it and calls its hook. */
    async function hook(pluginConfig: object) {
      const { default: entry } = await import(
        `${pathToFileURL(join(plugin, 'index.js')).href}?${Math.random()}`
      );
      const handlers: ((event: object) => Promise<Blocked>)[] = [];
      entry.register({ pluginConfig, on: (_: string, given: (typeof handlers)[0]) => handlers.push(given) });
      return (toolName: unknown, params: unknown = {}) => handlers[0]?.({ toolName, params });
    }
    const good = () => ({ firewall: `http://${computer.state().listen}`, agent: 'openclaw' });
    before(() => setup('--yes'));
    after(() => setup('--undo', '--force'));

    it('lets a call through that is allowed', async () =>
      equal(await (await hook(good()))('exec'), undefined));

    it('tells the decision of one that is not', async () => {
      const answer = await (await hook({ ...good(), credential: 'none' }))('exec');
      equal(answer?.block, true);
      match(answer?.blockReason ?? '', /^Lemma: exec was denied: \w+ \(decision dec_/);
    });

    for (const [name, config] of [
      ['the firewall is away', { firewall: 'http://127.0.0.1:1', agent: 'openclaw' }],
      ['it is not configured', undefined],
      ['the firewall is no URL', { firewall: 'nowhere', agent: 'openclaw' }],
      ['something else answers', 'other'],
    ] as const)
      it(`blocks when ${name}`, async () => {
        const over = config === 'other' ? { firewall: computer.state().control_plane, agent: 'x' } : config;
        equal((await (await hook(over as object))('exec'))?.block, true);
      });

    it('blocks when arguments cannot be told', async () => {
      const circular: Record<string, unknown> = {};
      circular.self = circular;
      equal((await (await hook(good()))('exec', circular))?.block, true);
    });

    it('blocks what is no name of a tool', async () => {
      const ask = await hook(good());
      for (const name of ['', '../exec', 'a/b', undefined])
        equal((await ask(name))?.block, true, String(name));
    });
  });
});
