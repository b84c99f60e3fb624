/** How long a client may take nothing of a download: an export holds the log's oldest records back from pruning. */
export const STALL_MS = 60_000;

/** The same texts, or other pieces, each for at most so long: a client that takes nothing meanwhile is cut off, and holds nothing any more. */
export async function* takenWithin<Piece>(
  stallMs: number,
  pieces: AsyncIterable<Piece>,
  cut: (error: Error) => void,
): AsyncGenerator<Piece, void, undefined> {
  for await (const piece of pieces) {
    const stalled = setTimeout(() => cut(new Error(`the client took nothing for ${stallMs} ms`)), stallMs);
    try {
      yield piece;
    } finally {
      clearTimeout(stalled);
    }
  }
}
