import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Call, Result } from '../../src/cli/command.ts';
import { type App, run, type StartApp } from '../../src/cli/serve.ts';
import type { LoadedConfig } from '../../src/config/load.ts';
import { InputError } from '../../src/reason.ts';
import { emptyFolder } from './lemma.ts';

/** `serve` with a service that only keeps what it was told. */
describe('serve', () => {
  let folder: ReturnType<typeof emptyFolder>;
  let notes: string[];
  let events: EventEmitter;
  let options: Record<string, unknown>;

  beforeEach(() => {
    folder = emptyFolder();
    notes = [];
    events = new EventEmitter();
    options = {};
    write('org: one\n');
  });
  afterEach(() => folder.remove());

  function write(text: string): void {
    writeFileSync(join(folder.path, 'lemma.yaml'), text);
  }

  function call(): Call {
    const note = (text: string) => {
      notes.push(text);
      events.emit('note', text);
    };
    return {
      args: [],
      options,
      env: {},
      folder: folder.path,
      program: 'lemma',
      json: false,
      terminal: {
        line: () => undefined,
        note,
        progress: () => undefined,
        write: async () => undefined,
        style: (_, text) => text,
        styleNote: (_, text) => text,
        interactive: false,
        width: null,
      },
      report: (result: Result) => void events.emit('up', result),
      complain: assert.fail,
    };
  }

  /** Starts it, and resolves once it is up. `end` stops it as a supervisor would. */
  async function up(reload: (loaded: LoadedConfig) => Promise<void> = async () => undefined) {
    const told: { clock?: (() => number) | undefined; stopped: boolean } = { stopped: false };
    const app: App = {
      addresses: { grpc: ['127.0.0.1:1'], decision: '127.0.0.1:2', control: '127.0.0.1:3', firewall: null },
      operatorKeyFile: join(folder.path, '.lemma/operator.key'),
      live: {
        freshness: assert.fail,
        connected: () => null,
        runtimes: () => [],
        bundles: () => [],
        replay: assert.fail,
        onRecord: () => () => undefined,
      },
      reload,
      reloadBundles: async () => [],
      stop: async () => {
        told.stopped = true;
      },
    };
    const start: StartApp = async (_, { clock } = {}) => {
      told.clock = clock;
      return app;
    };
    const announced = once(events, 'up');
    const running = run(call(), start);
    const [result] = (await Promise.race([announced, running.then(() => [])])) as [Result];
    const end = async () => {
      process.emit('SIGTERM');
      await running;
    };
    return { result, told, end };
  }

  const noted = async (pattern: RegExp) => {
    while (!notes.some((note) => pattern.test(note))) await once(events, 'note');
  };

  it('says where it listens', async () => {
    const { result, end } = await up();
    await end();
    assert.deepEqual(Reflect.get(Object(result.data), 'addresses').grpc, ['127.0.0.1:1']);
  });

  it('stops its service on SIGTERM before it ends', async () => {
    const { told, end } = await up();
    await end();
    assert.equal(told.stopped, true);
  });

  it('leaves no listener for signals behind', async () => {
    const before = process.listenerCount('SIGTERM') + process.listenerCount('SIGHUP');
    const { end } = await up();
    await end();
    assert.equal(process.listenerCount('SIGTERM') + process.listenerCount('SIGHUP'), before);
  });

  it('hands a changed configuration to the service, whole', async () => {
    const orgs: string[] = [];
    const { end } = await up(async ({ config }) => void orgs.push(config.org));
    write('org: two\n');
    await noted(/reloaded/);
    await end();
    assert.deepEqual(orgs, ['two']);
  });

  it('keeps a bad configuration from the service, and says so', async () => {
    let reloads = 0;
    const { end } = await up(async () => void reloads++);
    write('orgg: two\n');
    await noted(/NOT RELOADED/);
    await end();
    assert.deepEqual(
      [reloads, notes.includes('lemma.yaml:1: orgg: unknown key; did you mean "org"?')],
      [0, true],
    );
  });

  it('says where what the service refuses stands', async () => {
    const { end } = await up(async () => {
      throw new InputError([{ field: 'org', message: 'cannot change while it runs: restart' }]);
    });
    write('# moved\norg: two\n');
    await noted(/NOT RELOADED/);
    await end();
    assert.equal(notes.includes('lemma.yaml:2: org: cannot change while it runs: restart'), true);
  });

  it('gives the service a clock that stands still, and warns of it', async () => {
    options = { clock: '1790000000' };
    const { told, end } = await up();
    await end();
    assert.deepEqual(
      [told.clock?.(), notes[0]?.startsWith('THE CLOCK IS FROZEN')],
      [1_790_000_000_000, true],
    );
  });

  it('gives the service no clock otherwise', async () => {
    const { told, end } = await up();
    await end();
    assert.equal(told.clock, undefined);
  });
});
