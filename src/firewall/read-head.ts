import type { IncomingMessage } from 'node:http';

/** The beginning of a body. When it is not complete, the rest is still to be read from the request. */
export interface Head {
  readonly bytes: Buffer;
  readonly complete: boolean;
}

/**
 * Reads a body to its end, or to the first chunk that takes it over `limit` bytes, and leaves the request paused.
 * Rejects when the client goes away before.
 */
export function readHead(request: IncomingMessage, limit: number): Promise<Head> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (complete: boolean) => {
      request.pause();
      request.off('data', take).off('end', ended).off('close', gone);
      resolve({ bytes: Buffer.concat(chunks), complete });
    };
    const take = (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > limit) settle(false);
    };
    const ended = () => settle(true);
    const gone = () => reject(new Error('the client went away while it sent the body'));
    request.on('data', take).once('end', ended).once('close', gone);
  });
}
