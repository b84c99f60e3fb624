import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FolderError, makeFolder } from '../../src/config/make-folder.ts';
import { emptyFolder, environmentIn } from '../cli/lemma.ts';

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

describe('a folder is made', () => {
  let folder: ReturnType<typeof emptyFolder>;
  beforeEach(() => {
    folder = emptyFolder();
  });
  afterEach(() => folder.remove());
  const within = (...names: string[]) => join(folder.path, ...names);

  it('with those above it, each of the mode asked for', function () {
    if (process.platform === 'win32') this.skip();
    makeFolder(within('a', 'b', 'c'), 0o700);
    assert.deepEqual([within('a'), within('a', 'b'), within('a', 'b', 'c')].map(modeOf), [
      '700',
      '700',
      '700',
    ]);
  });

  it('never anew: one that is there keeps its mode', function () {
    if (process.platform === 'win32') this.skip();
    mkdirSync(within('a'), { mode: 0o750 });
    makeFolder(within('a'), 0o700);
    assert.equal(modeOf(within('a')), '750');
  });

  it('below a link to one', () => {
    mkdirSync(within('real'));
    symlinkSync(within('real'), within('link'), 'dir');
    makeFolder(within('link', 'a'));
    assert.ok(statSync(within('real', 'a')).isDirectory());
  });

  it('not in the place of a file, nor below one', () => {
    writeFileSync(within('file'), '');
    for (const path of [within('file'), within('file', 'a')])
      assert.throws(
        () => makeFolder(path),
        (error) => error instanceof FolderError && error.message.startsWith(path),
      );
  });

  it('not where a link leads nowhere', () => {
    symlinkSync(within('nowhere'), within('link'), 'dir');
    assert.throws(() => makeFolder(within('link')), FolderError);
  });
});

/** Where the parent is there and the system answers ENOENT all the same. */
const NOWHERE = '/proc/lemma';

describe('a folder that the system does not let be made', () => {
  let folder: ReturnType<typeof emptyFolder>;
  beforeEach(function () {
    if (!existsSync('/proc/self')) this.skip();
    folder = emptyFolder();
    writeFileSync(join(folder.path, 'lemma.db'), '');
  });
  afterEach(() => folder?.remove());

  /** Ended where it spins: it would hear no other signal. */
  function program(args: readonly string[], env: Record<string, string> = {}) {
    const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, [main, ...args, '--json'], {
      cwd: folder.path,
      env: { ...environmentIn(folder.path), ...env },
      encoding: 'utf8',
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    const answer: unknown = stdout === '' ? null : JSON.parse(stdout);
    const { error_code, data } = Object(answer);
    return { status, error_code, message: String(data?.message) };
  }

  const cases: [string, () => ReturnType<typeof program>, RegExp][] = [
    [
      'data of the service',
      () => program(['serve', '--data', NOWHERE]),
      /^--data: data: \/proc\/lemma\/keys cannot be made/,
    ],
    [
      'data of a decision node',
      () => program(['pdp', '--data', NOWHERE]),
      /^--data: data: \/proc\/lemma cannot be made/,
    ],
    [
      "the user's folder",
      () => program(['start'], { LEMMA_HOME: NOWHERE }),
      /^LEMMA_HOME: \/proc\/lemma cannot be made/,
    ],
    [
      'where a backup comes back',
      () => program(['restore', 'lemma.db', '--data', NOWHERE]),
      /^--data: \/proc\/lemma cannot be made/,
    ],
    [
      'a folder of policies',
      () => program(['policy', 'init', NOWHERE]),
      /^\/proc\/lemma\/policies\/low cannot be made/,
    ],
  ];
  for (const [name, run, says] of cases)
    it(`is said at once: ${name}`, () => {
      const { status, message } = run();
      assert.match(message, says);
      assert.equal(status, 2);
    });
});
