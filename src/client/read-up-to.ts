/** The bytes of a stream to its end; null, and the stream is let go, when there are more than `limit`. */
export async function readUpTo(
  stream: ReadableStream<Uint8Array>,
  limit: number,
): Promise<Uint8Array | null> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return joined(chunks, size);
    if (!(value instanceof Uint8Array)) throw new TypeError('a body must be a stream of bytes (Uint8Array)');
    size += value.length;
    if (size > limit) {
      // The other branch of a cloned body still wants it: nobody waits for this one's end.
      void reader.cancel().catch(() => undefined);
      return null;
    }
    chunks.push(value);
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return only;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
