import { InputError } from '../reason.ts';

/**
 * Just enough of POSIX ustar (IEEE 1003.1, pax, "ustar Interchange Format") for a bundle: plain files and folders.
 * What else an archive may hold (links, devices, long-name extensions) is refused, never skipped.
 */

const BLOCK = 512;
const NAME = { at: 0, length: 100 };
const MODE = { at: 100, length: 8 };
const SIZE = { at: 124, length: 12 };
const TIME = { at: 136, length: 12 };
const CHECKSUM = { at: 148, length: 8 };
const TYPE = 156;
const MAGIC = { at: 257, length: 6 };
const PREFIX = { at: 345, length: 155 };

type Field = { readonly at: number; readonly length: number };

const decoder = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

/** Files by path as written in the archive. Throws InputError. */
export function readTar(tar: Uint8Array): [path: string, bytes: Uint8Array][] {
  const files: [string, Uint8Array][] = [];
  let at = 0;
  while (at + BLOCK <= tar.length) {
    const header = tar.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return files;
    const { path, type, size } = readHeader(header, at);
    const start = at + BLOCK;
    const end = start + size;
    if (end > tar.length) throw refused(path, `is cut off at byte ${tar.length}; fetch the archive again`);
    if (type === 'file') files.push([path, new Uint8Array(tar.subarray(start, end))]);
    else if (size !== 0) throw refused(path, 'is a folder with content; build the archive anew');
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw refused('', 'the archive has no end mark; fetch it again');
}

/** A ustar archive that depends on nothing but the files: sorted, no times, no owners. */
export function writeTar(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (const [path, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const padded = new Uint8Array(Math.ceil(bytes.length / BLOCK) * BLOCK);
    padded.set(bytes);
    blocks.push(writeHeader(path, bytes.length), padded);
  }
  blocks.push(new Uint8Array(2 * BLOCK));
  return new Uint8Array(Buffer.concat(blocks));
}

function readHeader(header: Uint8Array, at: number): { path: string; type: 'file' | 'folder'; size: number } {
  const name = text(header, NAME);
  const prefix = text(header, MAGIC).startsWith('ustar') ? text(header, PREFIX) : '';
  const path = prefix === '' ? name : `${prefix}/${name}`;
  if (octal(header, CHECKSUM) !== checksum(header))
    throw refused(path, `bad header at byte ${at}; fetch the archive again`);
  const size = octal(header, SIZE);
  if (size === null) throw refused(path, 'has no readable size; build the archive anew');
  return { path, type: typeOf(header, path), size };
}

function typeOf(header: Uint8Array, path: string): 'file' | 'folder' {
  switch (header[TYPE]) {
    case 0:
    case 0x30:
      return 'file';
    case 0x35:
      return 'folder';
    default:
      throw refused(
        path,
        'is neither a plain file nor a folder; a bundle holds no links, devices or extended headers',
      );
  }
}

function writeHeader(path: string, size: number): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const name = encoder.encode(path);
  if (name.length > NAME.length) throw refused(path, `is longer than ${NAME.length} bytes; shorten it`);
  header.set(name, NAME.at);
  put(header, MODE, '0000644');
  put(header, SIZE, size.toString(8).padStart(11, '0'));
  put(header, TIME, '0'.repeat(11));
  header[TYPE] = 0x30;
  put(header, MAGIC, 'ustar\x0000');
  put(header, CHECKSUM, `${checksum(header).toString(8).padStart(6, '0')}\0 `);
  return header;
}

function put(header: Uint8Array, field: Field, value: string): void {
  header.set(encoder.encode(value), field.at);
}

function text(header: Uint8Array, field: Field): string {
  const bytes = header.subarray(field.at, field.at + field.length);
  const end = bytes.indexOf(0);
  try {
    return decoder.decode(end === -1 ? bytes : bytes.subarray(0, end));
  } catch {
    throw refused('', 'a name in the archive is not UTF-8; rename the file');
  }
}

function octal(header: Uint8Array, field: Field): number | null {
  const digits = /^ *([0-7]{1,11})[ \0]*$/.exec(
    String.fromCharCode(...header.subarray(field.at, field.at + field.length)),
  )?.[1];
  return digits === undefined ? null : Number.parseInt(digits, 8);
}

/** Sum of the header's bytes, its own field taken as spaces. */
function checksum(header: Uint8Array): number {
  return header.reduce(
    (sum, byte, i) => sum + (i >= CHECKSUM.at && i < CHECKSUM.at + CHECKSUM.length ? 0x20 : byte),
    0,
  );
}

function refused(field: string, message: string): InputError {
  return new InputError([{ field, message }]);
}
