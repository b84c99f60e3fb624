import { readSecret } from '../authority/secret-file.ts';

const LONGEST = 8192;

/**
 * The value that an api's `inject` names, ready for a header. Throws an Error that says what is wrong with the file,
 * never what is in it.
 */
export function headerSecret(path: string): string {
  const value = readSecret(path)?.trim();
  if (value === undefined) throw new Error(`${path}: no such file`);
  if (value.length > LONGEST || !/^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(value)) {
    throw new Error(
      `${path}: must hold the header's value alone, one line of printable ASCII, at most ${LONGEST} bytes`,
    );
  }
  return value;
}
