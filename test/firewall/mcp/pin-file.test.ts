import { equal, notEqual, throws } from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeyFileError } from '../../../src/authority/secret-file.ts';
import { NO_PINS, pinReader, writePins } from '../../../src/firewall/mcp/pin-file.ts';
import type { McpPins } from '../../../src/schema/mcp-pins.ts';

describe('firewall/mcp pin file', () => {
  let folder: string;
  let path: string;
  let read: () => McpPins;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-pins-'));
    path = join(folder, 'mcp-pins.json');
    read = pinReader(path);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const pins = (digit: string): McpPins => {
    const digest = `sha256-${digit.repeat(64)}`;
    return {
      version: 1,
      servers: { files: { read: { digest, since: '2026-01-01T00:00:00.000Z', changed: null } } },
    };
  };
  const digest = () => read().servers.files?.read?.digest.at(-1);

  it('gives the same pins while the file is the same, none where there is none', () => {
    equal(read(), NO_PINS);
    writePins(path, pins('1'));
    equal(read(), read());
  });

  it('gives those of another process at once, however often and however alike', () => {
    for (let i = 0; i < 50; i++) {
      const digit = String(i % 10);
      writePins(path, pins(digit));
      equal(digest(), digit);
    }
  });

  it('sees content of the same length that is written in place', () => {
    writePins(path, pins('1'));
    const before = read();
    writeFileSync(path, JSON.stringify(pins('2')));
    notEqual(read(), before);
  });

  it('refuses a file that was opened to others since, and a link in its place', () => {
    writePins(path, pins('1'));
    read();
    chmodSync(path, 0o644);
    throws(read, KeyFileError);
    rmSync(path);
    writePins(`${path}.other`, pins('1'));
    symlinkSync(`${path}.other`, path);
    throws(read, KeyFileError);
  });

  it('takes no draft that a process of the same number has left for the pins', () => {
    writeFileSync(`${path}.${process.pid}.new`, JSON.stringify(pins('1')), { mode: 0o600 });
    writePins(path, pins('2'));
    equal(digest(), '2');
  });

  it('has no pins of a file that is gone', () => {
    writePins(path, pins('1'));
    read();
    rmSync(path);
    equal(read(), NO_PINS);
  });
});
