import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';

/**
 * Node (26.10) keeps an HTTP/2 session and each of its streams in native objects of their own, collects them in any
 * order, and aborts the whole process when a session goes while one of its streams still holds a part of a header block
 * (`current_nghttp2_memory_ == 0` in `~Http2Session`). A client decides whether one does, so the session's stays here
 * until the streams' have gone.
 */
export type Native = unknown;

/** Undefined in a Node that keeps it elsewhere: nothing is held then. */
export function nativeOf(session: ServerHttp2Session): Native {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'kHandle');
  return key === undefined ? undefined : Reflect.get(session, key);
}

/** Of a session that has closed: a stream that Node ended goes in the turn that follows. */
export function keepForTwoTurns(native: Native): void {
  setImmediate(() => setImmediate(forget, native));
}

function forget(_native: Native): void {}

const outliving = new FinalizationRegistry<Native>(forget);

/**
 * For a stream that is written to before its client has ended it: with bytes of it still on their way when the
 * connection breaks it goes no sooner than the collector finds it. Its native object refers to it, so that one is no
 * longer there when this one is not.
 */
export function keepLongerThan(stream: ServerHttp2Stream, native: Native): void {
  outliving.register(stream, native, stream);
  stream.once('close', () => {
    if (stream.writableFinished) outliving.unregister(stream);
  });
}
