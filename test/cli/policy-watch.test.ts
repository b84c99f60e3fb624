import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { emptyFolder, lemma, lemmaGoing } from './lemma.ts';

const POLICIES = fileURLToPath(new URL('../../policies/', import.meta.url));

interface Envelope {
  readonly ok: boolean;
  readonly command: string;
  readonly error_code: string | null;
  readonly data: { readonly problems?: readonly { readonly code: string }[] };
}

describe('lemma policy --watch', function () {
  this.timeout(PATIENT_MS);
  let folder: ReturnType<typeof emptyFolder>;
  let going: ReturnType<typeof lemmaGoing> | null = null;

  beforeEach(function () {
    if (!wasmBuilt()) this.skip();
    folder = emptyFolder();
    cpSync(POLICIES, at(), { recursive: true });
  });
  afterEach(async () => {
    await going?.end('SIGKILL');
    going = null;
    folder?.remove();
  });

  const at = (...path: string[]) => join(folder.path, 'policies', ...path);
  const edited = (file: string, from: string, to: string) => {
    const before = readFileSync(at(file), 'utf8');
    const after = before.replaceAll(from, to);
    assert.notEqual(after, before);
    return after;
  };
  /** At once, so that nobody sees half of it. */
  const put = (file: string, text: string) => {
    writeFileSync(join(folder.path, 'next'), text);
    renameSync(join(folder.path, 'next'), at(file));
  };
  const edit = (file: string, from: string, to: string) => put(file, edited(file, from, to));

  /** Starts a watch, past its first run. */
  async function watching(...args: string[]) {
    const program = lemmaGoing(folder.path, ['policy', ...args, '--watch', '--json']);
    going = program;
    const next = async () => JSON.parse(await program.line()) as Envelope;
    return { first: await next(), next, end: program.end };
  }

  it('checks at once, and again after a change', async () => {
    const { first, next } = await watching('check');
    edit('low/data.json', '"legacy_routes"', '"dead": 1, "legacy_routes"');
    const { ok, error_code } = await next();
    assert.deepEqual([first.ok, ok, error_code], [true, false, 'policy_invalid']);
  });

  it('answers as the command does that runs once', async () => {
    edit('low/data.json', '"legacy_routes"', '"dead": 1, "legacy_routes"');
    const { first } = await watching('check');
    const once = await lemma(folder.path, ['policy', 'check', '--json']);
    assert.deepEqual(first, JSON.parse(once.out));
  });

  it('goes on after policies that do not parse', async () => {
    const good = readFileSync(at('low/decision.rego'), 'utf8');
    const { next } = await watching('check');
    put('low/decision.rego', 'package lemma.low\n\nallow if }\n');
    const wrong = await next();
    put('low/decision.rego', good);
    assert.deepEqual([wrong.ok, (await next()).ok], [false, true]);
  });

  it('begins with policies that are wrong', async () => {
    const good = readFileSync(at('low/decision.rego'), 'utf8');
    writeFileSync(at('low/decision.rego'), 'nonsense');
    const { first, next } = await watching('check');
    put('low/decision.rego', good);
    assert.deepEqual([first.ok, (await next()).ok], [false, true]);
  });

  it('runs the tests again after a change', async () => {
    const { first, next } = await watching('test', '--coverage');
    edit('low/data.json', '30000', '20000');
    assert.deepEqual([first.error_code, (await next()).error_code], [null, 'tests_failed']);
  });

  it('sees a file that is written in place', async () => {
    const { next } = await watching('check');
    writeFileSync(at('low/decision.rego'), edited('low/decision.rego', 'input.profile', 'input.profil'));
    assert.equal((await next()).ok, false);
  });

  it('sees a new file in a new folder, and what is written there later', async () => {
    const { next } = await watching('check');
    const code = async () => {
      let found = await next();
      while (found.ok) found = await next();
      return found.data.problems?.[0]?.code;
    };
    mkdirSync(at('low/deep/er'), { recursive: true });
    put('low/deep/er/more.rego', 'package lemma.low\n');
    const created = await code();
    put('low/deep/er/more.rego', 'no rego');
    assert.deepEqual([created, await code()], ['lint_not_bundled', 'rego_parse_error']);
  });

  it('sees a file go', async () => {
    writeFileSync(at('low/more.rego'), 'no rego');
    const { first, next } = await watching('check');
    rmSync(at('low/more.rego'));
    assert.deepEqual([first.ok, (await next()).ok], [false, true]);
  });

  it('outlives the folder itself', async () => {
    const { next } = await watching('check');
    rmSync(at(), { recursive: true });
    let gone = await next();
    while (gone.error_code !== 'folder_missing') gone = await next();
    cpSync(POLICIES, at(), { recursive: true });
    let back = await next();
    while (!back.ok) back = await next();
    assert.equal(back.command, 'policy check');
  });

  it('tells a person the result of each run, with its time', async () => {
    going = lemmaGoing(folder.path, ['policy', 'check', '--watch']);
    await going.line();
    assert.match(await going.line(), /^\d\d:\d\d:\d\d good \(\d+\.\d\d s\)/);
    edit('low/data.json', '"legacy_routes"', '"dead": 1, "legacy_routes"');
    assert.match(await going.line(), /^\d\d:\d\d:\d\d 1 problem \(/);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    it(`ends well with ${signal}`, async () => {
      const { end } = await watching('check');
      const { code, err } = await end(signal);
      assert.deepEqual([code, err], [0, '']);
    });

  it('is misused where there are no policies', async () => {
    const { code } = await lemma(folder.path, ['policy', 'check', 'nowhere', '--watch']);
    assert.equal(code, 2);
  });
});
