import { AUTHORIZATION } from '../../src/server/proto.ts';

/** HTTP/2 by hand (RFC 9113), for what no client library sends. */
export const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, window: 8 } as const;
export const NOTHING = Buffer.alloc(0);
export const END_HEADERS = 4;
const CANCEL = Buffer.from([0, 0, 0, 8]);

export function frame(type: number, stream: number, payload: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** The preface, and SETTINGS with this payload. */
export function opening(settings: Uint8Array = NOTHING): Buffer {
  return Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(FRAME.settings, 0, settings)]);
}

/** Every field a literal that is not indexed (RFC 7541, 6.2.2), shorter than 127 bytes. */
export function fields(of: Readonly<Record<string, string>>): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
  return Buffer.concat(
    Object.entries(of).flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]),
  );
}

export function head(path = `/${AUTHORIZATION}/Check`): Buffer {
  return fields({
    ':method': 'POST',
    ':scheme': 'http',
    ':authority': 'a',
    ':path': path,
    'content-type': 'application/grpc',
  });
}

/** That many calls, each reset at once. */
export function resets(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => [
    frame(FRAME.headers, 2 * i + 1, head(), END_HEADERS),
    frame(FRAME.reset, 2 * i + 1, CANCEL),
  ]).flat();
}
