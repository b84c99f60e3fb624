/** Longer than any record: what has no line feed for so long is no log. 64 MiB of bytes. */
const LINE_AT_MOST = 64 * 1024 * 1024;

/**
 * Lines of UTF-8 bytes, split at line feeds alone, in bounded memory: of a longer line than any record only the
 * beginning is given, which is then no whole record. An end without a line feed is a line too.
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<string, void, undefined> {
  let parts: Uint8Array[] = [];
  let length = 0;
  const add = (part: Uint8Array) => {
    if (length < LINE_AT_MOST) parts.push(part);
    length += part.length;
  };
  const take = () => {
    const text = Buffer.concat(parts).toString('utf8');
    parts = [];
    length = 0;
    return text;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, from)) {
      add(chunk.subarray(from, at));
      yield take();
      from = at + 1;
    }
    if (from < chunk.length) add(chunk.subarray(from));
  }
  if (length > 0) yield take();
}
