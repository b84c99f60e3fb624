/** The same texts, each for at most so long: a client that takes nothing meanwhile is cut off, and holds nothing any more. */
export async function* takenWithin(
  stallMs: number,
  texts: AsyncIterable<string>,
  cut: (error: Error) => void,
): AsyncGenerator<string, void, undefined> {
  for await (const text of texts) {
    const stalled = setTimeout(() => cut(new Error(`the client took nothing for ${stallMs} ms`)), stallMs);
    try {
      yield text;
    } finally {
      clearTimeout(stalled);
    }
  }
}
