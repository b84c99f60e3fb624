import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emptyFolder, lemma } from './lemma.ts';

const FREE_PORTS = ['grpc', 'decision', 'control'].flatMap((name) => [`--listen-${name}`, '127.0.0.1:0']);

describe('the command line', () => {
  let folder: ReturnType<typeof emptyFolder>;
  beforeEach(() => {
    folder = emptyFolder();
  });
  afterEach(() => folder.remove());
  const write = (text: string) => writeFileSync(join(folder.path, 'lemma.yaml'), text);
  const run = (...args: string[]) => lemma(folder.path, args);

  it('ends with 2 and the nearest name for an unknown command', async () => {
    const { code, err } = await run('srve');
    assert.deepEqual([code, err], [2, "error: unknown command 'srve'\n(Did you mean serve?)\n"]);
  });

  it('names the groups that have a command which was given without one', async () => {
    const { code, err } = await run('explain', 'dec_1');
    assert.deepEqual(
      [code, err],
      [2, "error: unknown command 'explain'\n(Did you mean decisions explain?)\n"],
    );
  });

  it('ends with 2 and the nearest name for an unknown command of a group', async () => {
    const { code, err } = await run('decisions', 'explian', 'x');
    assert.deepEqual([code, err], [2, "error: unknown command 'explian'\n(Did you mean explain?)\n"]);
  });

  it('ends with 2 and the nearest name for an unknown flag', async () => {
    const { code, err } = await run('serve', '--listn-grpc', 'x');
    assert.deepEqual(
      [code, err],
      [2, "error: unknown option '--listn-grpc'\n(Did you mean --listen-grpc?)\n"],
    );
  });

  it('says what is used wrongly as one JSON object, and nothing beside it', async () => {
    const { code, out, err } = await run('kill', '--json');
    const data = { message: 'name a runtime, or what it is below: --ppid, --delegation or --key' };
    assert.deepEqual(
      [code, JSON.parse(out), err],
      [2, { schema_version: 1, command: 'kill', ok: false, error_code: 'usage', data }, ''],
    );
  });

  it('knows a flag for every setting', async () => {
    const { code, out } = await run('serve', '--help');
    assert.deepEqual(
      [code, out.includes('--log-max-bytes'), out.includes('LEMMA_LOG_MAX_BYTES')],
      [0, true, true],
    );
  });

  for (const asked of [
    ['help', 'kill'],
    ['decisions', 'help', 'tail'],
  ])
    it(`prints by ${asked.join(' ')} what --help of the command prints`, async () => {
      const named = asked.filter((word) => word !== 'help');
      assert.deepEqual(await run(...asked), await run(...named, '--help'));
    });

  it('says of a store that cannot be opened what to do about it, and no more', async () => {
    const database = join(folder.path, '.lemma', 'lemma.db');
    mkdirSync(database, { recursive: true, mode: 0o700 });
    const message = `${database} is not a file; move it away or change \`data\``;
    const plain = await run('serve', ...FREE_PORTS);
    const { code, out } = await run('serve', '--json', ...FREE_PORTS);
    const { error_code, data } = JSON.parse(out);
    assert.deepEqual([plain.code, plain.err], [1, `error: ${message}\n`]);
    assert.deepEqual([code, error_code, data], [1, 'store_unusable', { message }]);
  });

  it('hides the flag that freezes the clock', async () => {
    assert.equal((await run('serve', '--help')).out.includes('--clock'), false);
  });

  it('freezes no clock that others can reach', async () => {
    const { code, err } = await run('serve', '--clock', '1790000000', '--listen-grpc', '0.0.0.0:0');
    assert.deepEqual(
      [code, err],
      [2, 'error: --clock needs every listener on loopback or a unix socket; 0.0.0.0:0 is not\n'],
    );
  });

  describe('config check', () => {
    it('ends with 2 and the place of what is wrong', async () => {
      write('org: acme\nnod: one\n');
      const { code, err } = await run('config', 'check');
      assert.deepEqual([code, err], [2, 'lemma.yaml:2: nod: unknown key; did you mean "node"?\n']);
    });

    it('gives the problems as data with --json', async () => {
      write('org: acme\nnod: one\n');
      const { error_code, data } = JSON.parse((await run('config', 'check', '--json')).out);
      const problem = {
        field: 'nod',
        message: 'unknown key; did you mean "node"?',
        file: 'lemma.yaml',
        line: 2,
        column: 1,
      };
      assert.deepEqual([error_code, data.problems], ['config_invalid', [problem]]);
    });

    it('finds two routes that tie, and where', async () => {
      const route = (id: string) =>
        `  - {id: ${id}, host: a.example, path: /x, methods: [GET], api: a, action: a, scope: [], audience: "https://a.example", risk: low}\n`;
      write(`routes:\n${route('one')}${route('two')}`);
      const { code, err } = await run('config', 'check');
      assert.deepEqual([code, /^lemma\.yaml:3: routes\[1\]/.test(err)], [2, true]);
    });

    it('answers with one JSON object', async () => {
      const { code, out } = await run('config', 'check', '--json', '--org', 'acme');
      const { data, ...rest } = JSON.parse(out);
      assert.deepEqual(
        [code, rest, data.config.org],
        [0, { schema_version: 1, command: 'config check', ok: true, error_code: null }, 'acme'],
      );
    });

    it('shows no password', async () => {
      write('feed: "redis://lemma:s3cret@redis.example.com"\n');
      const { out } = await run('config', 'check', '--json');
      const { host, password } = JSON.parse(out).data.config.feed;
      assert.deepEqual([host, password], ['redis.example.com', '(hidden)']);
    });
    it('shows no password of the store', async () => {
      const store = 'postgres://ann:geheim@db.example.com/authz';
      const { out } = await run('config', 'check', '--json', '--store', store);
      assert.deepEqual(JSON.parse(out).data.config.store, {
        shown: 'postgres://ann@db.example.com:5432/authz',
        schema: 'lemma',
      });
    });

    it('uses no colour in a pipe', async () => {
      write('nod: one\n');
      assert.equal((await run('config', 'check')).err.includes('\u001b'), false);
    });

    it("reads the caller's folder when npm runs it elsewhere", async () => {
      write('nod: one\n');
      const npm = { INIT_CWD: folder.path, npm_lifecycle_event: 'lemma', npm_package_name: 'lemma-authz' };
      assert.equal((await lemma('/', ['config', 'check'], npm)).code, 2);
    });
  });

  describe('init', () => {
    it('writes a configuration that is good', async () => {
      await run('init');
      assert.equal((await run('config', 'check')).code, 0);
    });

    it('refuses to write over another', async () => {
      write('org: mine\n');
      const { code } = await run('init');
      assert.deepEqual([code, readFileSync(join(folder.path, 'lemma.yaml'), 'utf8')], [1, 'org: mine\n']);
    });

    it('prints the three commands for the way it was run', async () => {
      const npm = { INIT_CWD: folder.path, npm_lifecycle_event: 'lemma', npm_package_name: 'lemma-authz' };
      const { out } = await lemma('/', ['init', '--json'], npm);
      const [serve, connect, ask] = JSON.parse(out).data.commands;
      assert.deepEqual(
        [serve, connect.split(' --runtime-id')[0], ask.split(' ')[0]],
        ['npm --prefix / run -s lemma -- serve', 'npm --prefix / run -s lemma -- firewall-connect', 'curl'],
      );
    });

    it('prints a request that a shell sends whole, credential and all', async () => {
      const { out } = await run('init', '--json');
      const [, , ask] = JSON.parse(out).data.commands;
      writeFileSync(join(folder.path, 'cred'), 'abc');
      // The shell takes the command apart; what it would hand to curl as the body is what counts.
      const script = `curl() { printf %s "$6"; }; ${ask.replace('.lemma/my-runtime.credential', 'cred')}`;
      const { stdout } = spawnSync('sh', ['-c', script], { cwd: folder.path, encoding: 'utf8' });
      assert.equal(JSON.parse(stdout).attributes.request.http.headers['x-lemma-credential'], 'abc');
    });
  });

  describe('schemas', () => {
    it('of the configuration are JSON Schema', async () => {
      const { title, $schema } = JSON.parse((await run('config', 'schema')).out);
      assert.deepEqual(
        [title, $schema],
        ['Lemma configuration v1', 'http://json-schema.org/draft-07/schema#'],
      );
    });
    it("of a policy's result come with --result", async () => {
      assert.equal(
        JSON.parse((await run('policy', 'schema', '--result')).out).title,
        'Lemma policy result v1',
      );
    });
  });

  describe('the published entry', () => {
    const bin = fileURLToPath(new URL('../../src/bin.js', import.meta.url));

    it('runs what stands beside it', () => {
      const { status, stdout } = spawnSync(process.execPath, [bin, '--version'], { encoding: 'utf8' });
      assert.deepEqual([status, /^\d+\.\d+\.\d+\n$/.test(stdout)], [0, true]);
    });

    it('says kindly what an old Node lacks', () => {
      const pretend = `data:text/javascript,Object.defineProperty(process,'versions',{value:{node:'18.20.0'}})`;
      const { status, stderr } = spawnSync(process.execPath, ['--import', pretend, bin], {
        encoding: 'utf8',
      });
      assert.deepEqual(
        [status, stderr.split('\n')[0]],
        [2, 'lemma needs Node 24 or newer, and this is Node 18.20.0.'],
      );
    });
  });
});
