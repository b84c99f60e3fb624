import { InputError } from '../../reason.ts';

/** Lines are judged in pieces of about this many bytes. */
const BLOCK_BYTES = 256 << 10;
/** Longer than any record. */
const LINE_AT_MOST = 64 << 20;
const LINE_FEED = 0x0a;
const TOO_LONG = 'a line is longer than any record: give an export of the decision log as NDJSON';

/**
 * The same bytes in blocks of whole lines, each in memory of its own, so that it can be given to a thread.
 *
 * @throws InputError: a line longer than any record
 */
export async function* inBlocks(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const end = length + chunk.length < BLOCK_BYTES ? 0 : chunk.lastIndexOf(LINE_FEED) + 1;
    if (end > 0) {
      yield joined([...parts, chunk.subarray(0, end)], length + end);
      parts = [];
      length = 0;
    }
    if (end < chunk.length) parts.push(chunk.subarray(end));
    length += chunk.length - end;
    if (length > LINE_AT_MOST) throw new InputError([{ field: '', message: TOO_LONG }]);
  }
  if (length > 0) yield joined(parts, length);
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
