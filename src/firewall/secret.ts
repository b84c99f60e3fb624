import { readSecret } from '../authority/secret-file.ts';

const LONGEST = 8192;
/** Of 16 KiB, in base64url; a token has as much. */
const LONGEST_CREDENTIAL = 24 * 1024;

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
