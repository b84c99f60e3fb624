import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { InputError } from '../reason.ts';

export interface SocketFile {
  readonly path: string;
  /** Permissions. */
  readonly mode: number;
  /** The configuration's, for errors. */
  readonly field: string;
}

/**
 * Binds a unix socket. A socket file that nobody answers on is what a killed process left behind, and goes; anything
 * else there is not ours.
 *
 * @throws InputError under `field`.
 */
export async function bindSocket(
  { path, mode, field }: SocketFile,
  bind: () => Promise<unknown>,
): Promise<void> {
  await clearStale(path, field);
  // Between bind and chmod only the umask guards the socket.
  const umask = process.umask(0o777 & ~mode);
  try {
    await bind();
  } finally {
    process.umask(umask);
  }
  chmodSync(path, mode);
}

async function clearStale(path: string, field: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  const unusable = (message: string) => new InputError([{ field, message: `${path} ${message}` }]);
  if (!stat.isSocket()) throw unusable('is there and is not a socket: name another path, or remove it');
  if (await answers(path))
    throw unusable('has another process listening on it: stop it, or name another path');
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Refused or gone is stale. What may not be tried (EACCES) may well be alive.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}
