import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';

/*
 * Node (26.10) keeps a session and each of its streams in native objects of their own, and aborts the process when it
 * collects a session while one of its streams holds a part of a header block that nobody took over
 * (`current_nghttp2_memory_ == 0` in `~Http2Session`). Whether one does is up to the client. So a session's native object
 * is held here until its streams' have let go of theirs. Nothing that a stream can reach may refer to it: while a write
 * is under way it refers to its streams for good.
 */

interface Held {
  readonly native: unknown;
  /** Calls of it that are answered before the client has ended them, and so before its trailers. */
  early: number;
  closed: boolean;
}

const held = new Map<ServerHttp2Session, Held>();

/** From its beginning until its streams have gone, which Node ends in the turn that follows. */
export function holdNative(session: ServerHttp2Session): void {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'kHandle');
  held.set(session, {
    native: key === undefined ? undefined : Reflect.get(session, key),
    early: 0,
    closed: false,
  });
  session.once('close', () => {
    setImmediate(() =>
      setImmediate(() => {
        const mine = held.get(session);
        if (mine !== undefined) mine.closed = true;
        letGo(session);
      }),
    );
  });
}

/** In the process, with those that broke off. */
const EARLY_AT_MOST = 32;
let early = 0;

/**
 * Takes up a call that is answered before its client has ended it; false when there are too many. One that breaks off
 * while an answer is under way may have left half its trailers. It and its session can then never be collected, and
 * count for ever: they must be few.
 */
export function answersEarly(session: ServerHttp2Session, stream: ServerHttp2Stream): boolean {
  if (early >= EARLY_AT_MOST || !count(session, 1)) return false;
  stream.once('close', () => {
    // After half a header block the client could not have cancelled (RFC 9113, 4.3).
    const cancelled = stream.rstCode === constants.NGHTTP2_CANCEL && !session.destroyed;
    if (!stream.writableFinished && !stream.readableEnded && !cancelled) return;
    count(session, -1);
    letGo(session);
  });
  return true;
}

function count(session: ServerHttp2Session, by: 1 | -1): boolean {
  const mine = held.get(session);
  if (mine === undefined) return false;
  mine.early += by;
  early += by;
  return true;
}

function letGo(session: ServerHttp2Session): void {
  const mine = held.get(session);
  if (mine?.closed === true && mine.early === 0) held.delete(session);
}
