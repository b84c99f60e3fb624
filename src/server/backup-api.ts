import { Readable } from 'node:stream';
import type { BackupStream } from '../authority/backup.ts';
import type { OperatorHandler } from './guard.ts';
import { STALL_MS, takenWithin } from './stalled.ts';

/**
 * The store as one file. The length is told, so that a torn answer is known for one. It is cut off where its client takes
 * nothing for long: nobody else could take a backup meanwhile, and the copy would stay on the store's disk.
 */
export function backupHandlers(
  backup: () => Promise<BackupStream>,
  stallMs = STALL_MS,
): Record<'backup', OperatorHandler> {
  return {
    async backup(_operator, _request, reply) {
      const { bytes, stream } = await backup();
      const taken = takenWithin<Buffer>(stallMs, stream, (error) => pieces.destroy(error));
      const pieces = Readable.from(taken, { objectMode: false });
      pieces.once('close', () => stream.destroy());
      return reply.type('application/vnd.sqlite3').header('content-length', bytes).send(pieces);
    },
  };
}
