import { deepEqual, equal, throws } from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setMember } from '../../../../src/cli/local/setup/edit.ts';
import {
  applyChanges,
  diffOf,
  isChange,
  planChange,
  undoChanges,
} from '../../../../src/cli/local/setup/files.ts';
import { emptyFolder } from '../../lemma.ts';

const BEFORE = '\ufeff// mine\n{ a: 1, }\n';

describe("a setup command's changes of the files of others", () => {
  let folder: ReturnType<typeof emptyFolder>;
  let home: string;
  let file: string;
  beforeEach(() => {
    folder = emptyFolder();
    home = join(folder.path, '.lemma');
    file = join(folder.path, 'agent.json');
  });
  afterEach(() => folder.remove());

  const plan = (value: unknown, path = file) =>
    planChange(path, '{}\n', (text) => setMember(text, ['b'], value));
  const apply = (value: unknown, path = file) => applyChanges(home, 'x', [plan(value, path)]);
  const undo = (force = false) => undoChanges(home, 'x', force);

  it('are undone byte for byte, permissions and all', () => {
    writeFileSync(file, BEFORE, { mode: 0o640 });
    chmodSync(file, 0o640);
    const [applied] = apply(1);
    equal(readFileSync(file, 'utf8'), '\ufeff// mine\n{ a: 1, "b": 1, }\n'.replace('"b"', 'b'));
    equal(readFileSync(applied?.backup ?? '', 'utf8'), BEFORE);
    deepEqual([statSync(file).mode & 0o777, statSync(applied?.backup ?? '').mode & 0o777], [0o640, 0o640]);
    undo();
    equal(readFileSync(file, 'utf8'), BEFORE);
    equal(statSync(file).mode & 0o777, 0o640);
    deepEqual(readdirSync(folder.path).sort(), ['.lemma', 'agent.json']);
  });

  it('of a file that was not there leave none behind', () => {
    const [applied] = apply(1, join(folder.path, 'new', 'agent.json'));
    equal(applied?.backup, null);
    equal(statSync(applied?.path ?? '').mode & 0o777, 0o600);
    undo();
    equal(existsSync(applied?.path ?? ''), false);
  });

  it('that are there already are none', () => {
    writeFileSync(file, BEFORE);
    apply(1);
    equal(isChange(plan(1)), false);
    deepEqual(apply(1), []);
  });

  it('of its own change go back to what was before the first', () => {
    writeFileSync(file, BEFORE);
    apply(1);
    apply(2);
    undo();
    equal(readFileSync(file, 'utf8'), BEFORE);
    equal(readdirSync(folder.path).length, 2);
  });

  it('after an edit of somebody else go back to that edit', () => {
    writeFileSync(file, BEFORE);
    apply(1);
    writeFileSync(file, '{ c: 3 }');
    apply(1);
    undo();
    equal(readFileSync(file, 'utf8'), '{ c: 3 }');
  });

  it('are not undone over an edit of somebody else, but by force', () => {
    writeFileSync(file, BEFORE);
    apply(1);
    writeFileSync(file, '{ c: 3 }');
    throws(() => undo(), { code: 'config_changed' });
    equal(readFileSync(file, 'utf8'), '{ c: 3 }');
    undo(true);
    equal(readFileSync(file, 'utf8'), BEFORE);
  });

  it('are not made over an edit of this very moment', () => {
    writeFileSync(file, BEFORE);
    const planned = plan(1);
    writeFileSync(file, '{ c: 3 }');
    throws(() => applyChanges(home, 'x', [planned]), { code: 'config_changed' });
    deepEqual(
      [readFileSync(file, 'utf8'), readdirSync(folder.path).filter((name) => name.includes('draft'))],
      ['{ c: 3 }', []],
    );
  });

  it('leave a link to the file what it is', () => {
    const real = join(folder.path, 'dotfiles.json');
    writeFileSync(real, BEFORE);
    symlinkSync(real, file);
    apply(1);
    equal(lstatSync(file).isSymbolicLink(), true);
    undo();
    equal(readFileSync(real, 'utf8'), BEFORE);
  });

  it('never write over another backup', () => {
    writeFileSync(file, BEFORE);
    writeFileSync(`${file}.lemma-backup`, 'precious');
    equal(apply(1)[0]?.backup?.endsWith('agent.json.lemma-backup-2'), true);
    undo();
    equal(readFileSync(`${file}.lemma-backup`, 'utf8'), 'precious');
  });

  it('are shown as a diff', () => {
    writeFileSync(file, '{\n  "a": 1\n}\n');
    deepEqual(diffOf(plan(1)), [
      `--- ${file}`,
      `+++ ${file}`,
      '@@ -1,4 +1,5 @@',
      ' {',
      '-  "a": 1',
      '+  "a": 1,',
      '+  "b": 1',
      ' }',
      ' ',
    ]);
  });

  it('say where a file is wrong', () => {
    writeFileSync(file, '{\n  a 1 }');
    throws(() => plan(1), { code: 'config_unreadable', message: /agent\.json:2:5: .*colon is missing/ });
  });

  it('refuse what is no UTF-8', () => {
    writeFileSync(file, Buffer.from([0x7b, 0xff, 0x7d]));
    throws(() => plan(1), { code: 'config_unreadable' });
  });

  it('that were never made are not undone', () => equal(undo(), null));
});
