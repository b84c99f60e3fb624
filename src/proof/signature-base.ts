import { type InnerList, serializeInnerList } from '../crypto/structured-field.ts';
import type { SignedMessage } from '../schema/request.ts';

/** RFC 9421 section 2.5, over the components in the order of the list: the message has each of them. */
export function signatureBase(
  input: InnerList,
  components: readonly string[],
  message: Omit<SignedMessage, 'body'>,
): string {
  const values: Record<string, string | null> = {
    '@method': message.method,
    '@authority': message.authority,
    '@path': message.path,
    '@query': message.query,
    'x-lemma-proof': message.proof,
    'content-digest': message.contentDigest,
  };
  const lines = components.map((name) => `"${name}": ${values[name]}`);
  return [...lines, `"@signature-params": ${serializeInnerList(input)}`].join('\n');
}
