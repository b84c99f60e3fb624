import type { BackupStream } from '../authority/backup.ts';
import type { OperatorHandler } from './guard.ts';

/** The store as one file. The length is told, so that a torn answer is known for one. */
export function backupHandlers(backup: () => Promise<BackupStream>): Record<'backup', OperatorHandler> {
  return {
    async backup(_operator, _request, reply) {
      const { bytes, stream } = await backup();
      return reply.type('application/vnd.sqlite3').header('content-length', bytes).send(stream);
    },
  };
}
