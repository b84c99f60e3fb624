import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { styleText } from 'node:util';
import { terminalOf } from '../../src/cli/terminal.ts';

describe('the terminal', () => {
  const written = (text: string) => {
    const out = Object.assign(new PassThrough(), {
      isTTY: true,
      columns: 80,
    }) as unknown as NodeJS.WriteStream;
    terminalOf(out, out).line(text);
    return String(out.read());
  };

  it('shows what would conceal, blacken or move what is there', () => {
    for (const code of ['8', '30', '40', '7', '0', '38'])
      assert.equal(written(`a\u001b[${code}mb`), `a\\u{1b}[${code}mb\n`);
    assert.equal(written('\u001b[2J\r'), '\\u{1b}[2J\\u{d}\n');
  });

  it('keeps the emphasis of its own', () => {
    for (const format of ['bold', 'dim', 'red', 'green', 'yellow', 'blue', 'cyan'] as const) {
      const text = styleText(format, 'a', { validateStream: false });
      assert.equal(written(text), `${text}\n`);
    }
  });
});
