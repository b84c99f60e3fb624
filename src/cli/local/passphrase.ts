import type { ReadStream } from 'node:tty';
import type { Call } from '../command.ts';
import { CliError, EXIT } from '../exit.ts';
import { given } from './folder.ts';

const LONGEST = 1024;

/** LEMMA_KEY_PASSPHRASE, else asked for at the terminal without echo. Throws CliError `passphrase_missing`. */
export async function askPassphrase(
  call: Pick<Call, 'env' | 'terminal'>,
  prompt: string,
  input: NodeJS.ReadStream = process.stdin,
  show: (text: string) => void = (text) => void process.stderr.write(text),
): Promise<string> {
  if (given(call.env.LEMMA_KEY_PASSPHRASE)) return call.env.LEMMA_KEY_PASSPHRASE;
  if (!input.isTTY)
    throw new CliError(
      'passphrase_missing',
      'this key is sealed by a passphrase: set LEMMA_KEY_PASSPHRASE, or run this at a terminal',
    );
  show(prompt);
  try {
    return await readHidden(input);
  } finally {
    show('\n');
  }
}

/** A new passphrase, typed twice at a terminal. Throws CliError `passphrase_missing`, `passphrase_differs`. */
export async function newPassphrase(call: Pick<Call, 'env' | 'terminal'>): Promise<string> {
  const first = await askPassphrase(call, 'New passphrase for the key: ');
  if (given(call.env.LEMMA_KEY_PASSPHRASE)) return first;
  if (first === '') throw new CliError('passphrase_missing', 'an empty passphrase seals nothing');
  const second = await askPassphrase(call, 'The same again: ');
  if (first !== second)
    throw new CliError('passphrase_differs', 'the two are not the same: nothing was written');
  return first;
}

/** One line, of which the terminal shows nothing. Ctrl-C ends the program, as it does elsewhere. */
function readHidden(input: ReadStream | NodeJS.ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    const typed: string[] = [];
    const end = () => {
      input.off('data', take);
      input.setRawMode(false);
      input.pause();
    };
    const take = (chunk: Buffer | string) => {
      for (const char of chunk.toString()) {
        if (char === '\r' || char === '\n' || char === '\u0004') {
          end();
          return resolve(typed.join(''));
        }
        if (char === '\u0003') {
          end();
          return reject(new CliError('interrupted', 'interrupted', EXIT.failed));
        }
        if (char === '\u007f' || char === '\b') typed.pop();
        else if (typed.length < LONGEST) typed.push(char);
      }
    };
    input.setRawMode(true);
    input.setEncoding('utf8');
    input.on('data', take);
    input.resume();
  });
}
