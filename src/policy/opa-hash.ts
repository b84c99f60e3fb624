import { sha256 } from '#runtime';
import { DATA_FILE, MANIFEST_FILE } from '../schema/bundle.ts';
import { hex } from './digest.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * SHA-256 of a bundle's file as OPA signs it (v1/bundle/hash.go): of the bytes; but of manifest and data, which OPA
 * takes for documents, of the JSON without spaces, keys in order.
 *
 * @throws SyntaxError, TypeError: a document that is not JSON in UTF-8
 */
export function opaHash(path: string, bytes: Uint8Array): string {
  return hex(sha256(isDocument(path) ? encoder.encode(documentText(bytes)) : bytes));
}

function isDocument(path: string): boolean {
  const base = path.slice(path.lastIndexOf('/') + 1);
  return base === DATA_FILE || base === MANIFEST_FILE;
}

/** Numbers stay as they are written (`json.Number`): `1.0` is another document than `1`. */
interface Written {
  readonly number: string;
}

type Document = null | boolean | string | Written | readonly Document[] | ReadonlyMap<string, Document>;

function documentText(bytes: Uint8Array): string {
  return write(JSON.parse(decoder.decode(bytes), revived as Reviver) as Document);
}

type Reviver = (key: string, value: unknown) => unknown;

/** ECMA-262 gives the third argument; TypeScript's library does not know it yet. */
function revived(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  if (typeof value === 'number') return { number: source ?? String(value) } satisfies Written;
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return new Map(Object.entries(value));
  return value;
}

function write(value: Document): string {
  if (typeof value === 'string') return writeString(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (value instanceof Map) {
    const members = [...value].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return `{${members.map(([key, member]) => `${writeString(key)}:${write(member)}`).join(',')}}`;
  }
  if (isList(value)) return `[${value.map(write).join(',')}]`;
  return (value as Written).number;
}

function isList(value: Document): value is readonly Document[] {
  return Array.isArray(value);
}

/** Go's encoding/json escapes two more than JavaScript, since they end lines in JavaScript's older self. */
function writeString(text: string): string {
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
