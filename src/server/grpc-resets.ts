import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { performance } from 'node:perf_hooks';

/**
 * How many calls one connection may reset. An Envoy resets a call that took too long or whose caller has gone, all of
 * them in a bad minute: far more than Node's own 33 a second, which would end the connection that everybody shares.
 */
const RESETS_AT_ONCE = 5000;
const RESETS_A_SECOND = 1000;

/** For Node's own counter, behind ours: it ends a connection at once and says INTERNAL_ERROR. */
export const NODE_RESET_LIMITS = {
  streamResetBurst: 4 * RESETS_AT_ONCE,
  streamResetRate: 4 * RESETS_A_SECOND,
} as const;

/** Counts one connection's resets (CVE-2023-44487); `enough` is called once, when there are too many. */
export function resetCounter(enough: () => void): (stream: ServerHttp2Stream) => void {
  let left = RESETS_AT_ONCE;
  let at = performance.now();
  let over = false;
  const count = () => {
    const now = performance.now();
    left = Math.min(RESETS_AT_ONCE, left + ((now - at) * RESETS_A_SECOND) / 1000) - 1;
    at = now;
    if (left >= 0 || over) return;
    over = true;
    enough();
  };
  return (stream) => {
    // A reset may have come with the head, before anybody could listen.
    if (stream.aborted || stream.destroyed) count();
    else stream.once('aborted', count);
  };
}

/**
 * Calls under way are answered; what comes after this is not looked at (RFC 9113, 6.8). Not while the session reads:
 * what it then has of the next calls it would end in the middle (grpc-native.ts).
 */
export function calmDown(session: ServerHttp2Session): void {
  setImmediate(() => {
    if (session.destroyed) return;
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.close();
  });
}
