import { readSecret } from '../authority/secret-file.ts';
import { HEADER_PATTERN } from '../schema/common.ts';

const LONGEST = 8192;
const VALUE = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/;
const NAME = new RegExp(HEADER_PATTERN);
/** Of 16 KiB, in base64url; a token has as much. */
const LONGEST_CREDENTIAL = 24 * 1024;

/**
 * The value that an api's `inject` names, ready for a header. Throws an Error that says what is wrong with the file,
 * never what is in it.
 */
export function headerSecret(path: string): string {
  const value = readSecret(path)?.trim();
  if (value === undefined) throw new Error(`${path}: no such file`);
  if (value.length > LONGEST || !VALUE.test(value)) {
    throw new Error(
      `${path}: must hold the header's value alone, one line of printable ASCII, at most ${LONGEST} bytes`,
    );
  }
  return value;
}

/** Headers of a file, a line `name: value` each; blank lines are none. Throws an Error that tells no value. */
export function headerLines(path: string): Record<string, string> {
  const text = readSecret(path);
  if (text === null) throw new Error(`${path}: no such file`);
  const lines = text
    .split(/\r?\n/)
    .flatMap((line, i) => (line.trim() === '' ? [] : [[line, i + 1] as const]));
  return Object.fromEntries(
    lines.map(([line, at]) => {
      const colon = line.indexOf(':');
      const [name, value] = [line.slice(0, Math.max(0, colon)).trim(), line.slice(colon + 1).trim()];
      if (NAME.test(name) && value.length <= LONGEST && VALUE.test(value)) return [name.toLowerCase(), value];
      throw new Error(`${path}:${at}: must be \`name: value\`, printable ASCII, at most ${LONGEST} bytes`);
    }),
  );
}

/** As `headerSecret`: a credential or a token, as clients of a proxy show it. */
export function credentialSecret(path: string): string {
  const value = readSecret(path)?.trim();
  if (value === undefined) throw new Error(`${path}: no such file`);
  if (value.length > LONGEST_CREDENTIAL || !/^[\w.-]+$/.test(value))
    throw new Error(
      `${path}: must hold a credential alone, as firewall-connect writes it, or a token lm_at_…`,
    );
  return value;
}
