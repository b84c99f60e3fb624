import type { IncomingMessage } from 'node:http';
import type { BodySeen } from '../schema/request.ts';

/** Bytes of bodies that a parser has read already. */
const kept = new WeakMap<IncomingMessage, Uint8Array>();

/**
 * For a body parser that runs before `lemma()`: `express.json({ verify: keepBody })`. What was sent compressed is not kept: a
 * PoP covers it as it was sent, and parsers give it uncompressed.
 */
export function keepBody(raw: IncomingMessage, _response: unknown, bytes: Uint8Array): void {
  const coding = raw.headers['content-encoding'];
  if (coding === undefined || coding.toLowerCase() === 'identity') kept.set(raw, bytes);
}

const UNSEEN: BodySeen = { seen: null, partial: false, size: null };
const NONE: BodySeen = { seen: null, partial: false, size: 0 };

/**
 * A body, read and put back for whoever reads it next; or, up to `limit` bytes, as a parser kept it. Not seen, where somebody
 * else has read it, and over HTTP/2, whose streams cannot be put back. Rejects when the client goes away.
 */
export async function bodyOf(raw: IncomingMessage, limit: number): Promise<BodySeen> {
  const known = kept.get(raw);
  if (known !== undefined) return { seen: known, partial: false, size: known.length };
  const length = raw.headers['content-length'];
  if (raw.httpVersionMajor > 1) return UNSEEN;
  // RFC 9112, section 6.3: without either there is none.
  if (raw.headers['transfer-encoding'] === undefined && (length === undefined || length === '0')) return NONE;
  const taken = raw.readableDidRead || raw.readableFlowing === true;
  if (taken || Number(length ?? 0) > limit) return UNSEEN;
  return readAndPutBack(raw, limit);
}

function readAndPutBack(raw: IncomingMessage, limit: number): Promise<BodySeen> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (whole: boolean) => {
      raw.off('readable', take).off('error', reject).off('close', gone);
      const bytes = Buffer.concat(chunks);
      // Before the event loop turns: `end` is not emitted while there is something to read.
      if (bytes.length > 0) raw.unshift(bytes);
      resolve(whole ? { seen: bytes, partial: false, size } : { seen: bytes, partial: true, size: null });
    };
    const take = () => {
      for (let chunk: Buffer | null = raw.read(); chunk !== null; chunk = raw.read()) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > limit) return settle(false);
      }
      if (raw.complete) settle(true);
    };
    const gone = () => reject(new Error('the client went away while it sent the body'));
    raw.on('readable', take).once('error', reject).once('close', gone);
  });
}
