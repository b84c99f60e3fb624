import { JsonError, readJson } from '../crypto/json.ts';
import { InputError } from '../reason.ts';
import { checkerOf } from '../schema/validate.ts';

/** A CheckRequest nests as deep as the metadata that Envoy's filters put into it. */
const MAX_DEPTH = 128;

/**
 * A JSON body: strict, so that no two readers see two things in it. No bytes are `undefined`.
 *
 * @throws InputError for what is not JSON and for a key that stands twice.
 */
export function readBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  try {
    const { value, duplicate } = readJson(bytes, { maxDepth: MAX_DEPTH, numbers: 'exact' });
    if (duplicate === null) return value;
    throw new InputError([{ field: '', message: `the body has the key "${duplicate}" twice` }]);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new InputError([{ field: '', message: `the body is not JSON: ${error.message}` }]);
  }
}

/** A reader of bodies, queries or parameters: nothing coerced, nothing dropped. It throws InputError, all problems at once. */
export function reader<T>(schema: object): (value: unknown) => T {
  const check = checkerOf<T>(schema);
  return (value) => {
    const checked = check(value ?? null);
    if (checked.ok) return checked.value;
    throw new InputError(checked.problems);
  };
}
