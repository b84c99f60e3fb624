import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import JSON5 from 'json5';
import { startRemote } from '../../../support/mcp-remote.ts';
import { environmentIn } from '../../lemma.ts';
import { type Laptop, laptop } from '../laptop.ts';

const SERVER = fileURLToPath(new URL('../../../support/mcp-server.ts', import.meta.url));

describe('lemma setup-mcp', function () {
  this.timeout(180_000);
  let computer: Laptop;
  let remote: HttpServer;
  let description: string;
  let url: string;

  before(async () => {
    computer = laptop();
    remote = await startRemote();
    url = `http://127.0.0.1:${(remote.address() as AddressInfo).port}/mcp`;
    description = join(computer.folder, 'description.txt');
    writeFileSync(description, 'Reads a file');
    await computer.start();
  });
  after(async () => {
    await computer.close();
    remote.closeAllConnections();
    remote.close();
  });

  const setup = (...args: string[]) => computer.json(['setup-mcp', ...args]);

  /** A file below the home, or the project's folder. */
  function write(text: string, ...names: string[]): string {
    const file = join(computer.folder, ...names);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  /** Calls a tool as the client would: it starts what its configuration says. */
  async function call(entry: { command: string; args: string[] }, name: string) {
    const client = new Client({ name: 'editor', version: '1' }, { capabilities: {} });
    const env = Object.fromEntries(
      Object.entries(environmentIn(computer.folder)).map(([key, value]) => [key, value ?? '']),
    );
    await client.connect(new StdioClientTransport({ ...entry, cwd: computer.folder, env, stderr: 'ignore' }));
    try {
      const { tools } = await client.listTools();
      const result = await client.callTool({ name, arguments: { path: '/a' } });
      const [content] = result.content as { text: string }[];
      return { tools: tools.map((tool) => tool.name), text: content?.text };
    } finally {
      await client.close();
    }
  }

  const secrets = () => readdirSync(join(computer.home, 'setup')).filter((name) => name.endsWith('.secret'));

  /** Claude Desktop's own shape, with a member that it does not document. */
  const desktop = () => `{
  "mcpServers": {
    "My Files": {
      "command": ${JSON.stringify(process.execPath)},
      "args": [${JSON.stringify(SERVER)}, ${JSON.stringify(description)}],
      "env": { "FILES_TOKEN": "hunter2" },
      "autoApprove": ["read"]
    }
  },
  "globalShortcut": "Ctrl+Space"
}
`;

  describe('of Claude Desktop', () => {
    let file: string;
    let done: Awaited<ReturnType<typeof setup>>;
    const text = () => readFileSync(file, 'utf8');
    const entry = () => JSON.parse(text()).mcpServers['My Files'];
    before(async () => {
      file = write(desktop(), 'home', '.config', 'Claude', 'claude_desktop_config.json');
      done = await setup('--client', 'claude-desktop', '--yes');
    });

    it('puts a server behind the firewall, and shows it', () => {
      const { code, error_code, data } = done;
      deepEqual([code, error_code, data.posture, data.servers.length], [1, 'degraded', 'DEGRADED', 1]);
      const [server] = data.servers;
      deepEqual(
        [server.tools, server.allowed.verdict, server.denied.reason],
        [['read', 'write', 'browse', 'wipe'], 'allow', 'runtime_killed'],
      );
    });

    it('takes the secret out of the file, and keeps the rest', () => {
      const { command, args, ...rest } = entry();
      deepEqual([rest, JSON.parse(text()).globalShortcut], [{ autoApprove: ['read'] }, 'Ctrl+Space']);
      deepEqual([command, args.includes('wrap')], [process.execPath, true]);
      ok(!text().includes('hunter2'));
      const kept = join(computer.home, 'setup.json');
      deepEqual([readFileSync(kept, 'utf8').includes('hunter2'), statSync(kept).mode & 0o777], [true, 0o600]);
    });

    it('serves the client as before, through decisions', async () => {
      const { tools, text: said } = await call(entry(), 'read');
      deepEqual([tools, said], [['read', 'write', 'browse', 'wipe'], 'content of /a, by hunter2']);
      const { data } = await computer.json(['decisions', 'list']);
      match(JSON.stringify(data), /claude-desktop--my-files\/read/);
    });

    it('changes nothing the second time', async () => {
      const before = text();
      const { data } = await setup('--client', 'claude-desktop', '--yes');
      deepEqual([data.changed, data.servers.length, text()], [false, 1, before]);
    });

    it('denies calls from the moment of a kill', async () => {
      await computer.run(['kill', 'claude-desktop']);
      await call(entry(), 'read').then(
        () => ok(false),
        (error: Error) => match(error.message, /runtime_killed/),
      );
    });

    it('is undone to the byte, and forgets the secret', async () => {
      const { code, data } = await setup('--client', 'claude-desktop', '--undo');
      deepEqual([code, data.undone, text()], [0, true, desktop()]);
      ok(!readFileSync(join(computer.home, 'setup.json'), 'utf8').includes('hunter2'));
    });
  });

  describe('of VS Code', () => {
    /** With comments, inputs, closing commas, as its documentation has it. */
    const vscode = () => `{
  // servers of this project
  "inputs": [{ "type": "promptString", "id": "key", "password": true }],
  "servers": {
    "remote": { "type": "http", "url": "${url}", "headers": { "Authorization": "Bearer s3cret" } }, // ours
    "asked": { "command": "npx", "args": ["-y", "x"], "env": { "KEY": "\${input:key}" } },
    "gone": { "command": "/nowhere/server" },
    "events": { "type": "sse", "url": "http://127.0.0.1:1/sse" },
  },
}
`;
    let file: string;
    let done: Awaited<ReturnType<typeof setup>>;
    const text = () => readFileSync(file, 'utf8');
    before(async () => {
      file = write(vscode(), '.vscode', 'mcp.json');
      done = await setup('--client', 'vscode', '--project', '--yes');
    });

    it('fronts a server over HTTP, whose header the firewall keeps', async () => {
      const { remote: entry } = JSON5.parse(text()).servers;
      deepEqual([entry.type, entry.url, entry.headers], ['stdio', undefined, undefined]);
      ok(!text().includes('s3cret'));
      const { tools, text: said } = await call(entry, 'read');
      deepEqual([tools, said, secrets().length], [['read'], 'Bearer s3cret', 1]);
    });

    it('leaves what it cannot move as it is, and names it', () => {
      const { servers } = JSON5.parse(text());
      const before = JSON5.parse(vscode()).servers;
      deepEqual([servers.asked, servers.gone, servers.events], [before.asked, before.gone, before.events]);
      const named = done.data.gaps.map(({ message }: { message: string }) => message.split(' ')[0]);
      deepEqual(named.slice(0, 3), ['asked', 'gone', 'events']);
      deepEqual([done.code, done.data.posture], [1, 'DEGRADED']);
    });

    it('keeps comments', () => {
      ok(text().includes('// servers of this project') && text().includes('// ours'));
    });

    it('is undone to the byte, and the file of its header goes', async () => {
      const { data } = await setup('--client', 'vscode', '--project', '--undo');
      deepEqual([data.undone, text(), secrets()], [true, vscode(), []]);
    });
  });

  it('takes any file with mcpServers, and shows what it would change', async () => {
    const file = write(desktop(), 'any.json');
    const { code, data } = await setup('--file', 'any.json', '--dry-run');
    deepEqual([code, readFileSync(file, 'utf8')], [0, desktop()]);
    ok(data.changes[0].diff.some((line: string) => line.startsWith('-') && line.includes('hunter2')));
  });

  for (const [name, args, code] of [
    ['no client', [], 'usage'],
    ['two', ['--client', 'cursor', '--file', 'x'], 'usage'],
    ['one that nobody knows', ['--client', 'emacs'], 'usage'],
    ['a file that is not there', ['--client', 'cursor'], 'config_missing'],
    ['a file without servers', ['--file', 'description.json'], 'servers_missing'],
  ] as const)
    it(`refuses ${name}`, async () => {
      write('{}', 'description.json');
      equal((await setup(...args)).error_code, code);
    });
});
