import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { consoleScene, type Scene } from '../support/console.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** A person's machine with nothing on it but `lemma`. */
function freshMachine(folder: string) {
  const [home = '', work = '', bin = ''] = ['home', 'work', 'bin'].map((name) => join(folder, name));
  for (const path of [home, work, bin]) mkdirSync(path);
  writeFileSync(join(bin, 'lemma'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
    mode: 0o755,
  });
  const PATH = `${bin}:${dirname(process.execPath)}:${process.env.PATH ?? ''}`;
  const env = { PATH, HOME: home, LC_ALL: 'C.UTF-8' };
  const start = (command: string) =>
    spawn('sh', ['-eu', '-c', command], { cwd: work, env, stdio: ['ignore', 'pipe', 'pipe'] });
  return {
    start,
    /** Resolves with what it printed; fails with it where it failed. */
    async run(command: string): Promise<string> {
      const child = start(command);
      const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
      assert.equal(child.exitCode, 0, `${command}\n${out}${err}`);
      return out;
    },
  };
}

describe('connecting a first runtime, by the commands of the page', function () {
  this.timeout(120_000);
  this.bail(true);
  const folder = emptyFolder();
  const machineFolder = emptyFolder();
  let scene: Scene;
  let page: Page;
  let machine: ReturnType<typeof freshMachine>;
  let waiting: ChildProcess | undefined;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    machine = freshMachine(machineFolder.path);
    page = await scene.signedIn('/connect');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  });
  after(async () => {
    if (waiting?.exitCode === null) waiting.kill('SIGTERM');
    await scene?.close();
    folder.remove();
    machineFolder.remove();
  });

  const copied = async (name: string) => {
    await page.getByRole('button', { name: `Copy ${name}` }).click();
    return String(await page.evaluate('navigator.clipboard.readText()'));
  };
  const step = (n: number) => page.locator('ol.walk > li').nth(n - 1);
  const green = (n: number) => step(n).getByRole('status').getByText('seen').waitFor();
  const waits = async (n: number) => assert.equal(await step(n).getByText('waiting').count(), 1, `step ${n}`);

  it('begins with nothing seen', async () => {
    for (const n of [1, 2, 3, 4]) await waits(n);
  });

  it('1: signs in by a code that is approved in the browser', async () => {
    const child = machine.start(await copied('sign-in command'));
    waiting = child;
    let address = '';
    for await (const line of createInterface({ input: child.stderr }))
      if (/^ {2}http/.test(line)) {
        address = line.trim();
        break;
      }
    const closed = once(child, 'close');
    const wallet = await page.context().newPage();
    await wallet.goto(address);
    await wallet.getByRole('button', { name: 'Approve' }).click();
    await wallet.getByText('The command line goes on by itself').waitFor();
    await wallet.close();
    await closed;
    assert.equal(child.exitCode, 0);
    await green(1);
    for (const n of [2, 3, 4]) await waits(n);
  });

  it('2: registers the runtime, and has its proof', async () => {
    const out = await machine.run(await copied('connect command'));
    assert.match(out, /^my-runtime is connected to http:\/\/localhost:\d+$/m);
    await green(2);
    for (const n of [3, 4]) await waits(n);
  });

  it('3 and 4: is allowed its first request', async () => {
    const answer = JSON.parse(await machine.run(await copied('request')));
    assert.deepEqual([answer.success, answer.decision], [true, 'allow']);
    await green(3);
    await green(4);
    await step(4).getByRole('link', { name: 'see why it was allowed' }).click();
    await page.locator('main').getByText('my-runtime').first().waitFor();
  });

  it('tells a role that registers nothing so', async () => {
    const auditor = await scene.signedIn('/connect', await scene.addOperator('auditor-1', 'auditor'));
    await auditor.getByText('Your role registers no runtimes').waitFor();
  });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
