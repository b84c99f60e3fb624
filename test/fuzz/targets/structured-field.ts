import { deepEqual } from 'node:assert/strict';
import * as reference from 'structured-headers';
import {
  parseDictionary,
  StructuredFieldError,
  serializeDictionary,
} from '../../../src/crypto/structured-field.ts';
import { fromReference, lastOfEach } from '../../crypto/structured-reference.ts';
import { latin1, refusing, type Target } from '../target.ts';

/** Against the package `structured-headers`, which takes RFC 9651's dates and strings as well, and bytes that are not canonical. */
export const structuredField: Target = {
  name: 'structured-field',
  maxBytes: 1_000,
  words: [
    'input=',
    'signature=:',
    ':',
    '("@method" "@path")',
    ';created=1790000000',
    ';nonce="',
    '"',
    '\\"',
    '?1',
    '?0',
    '1.5',
    '-',
    '=',
    ', ',
    ';',
    '(',
    ')',
    'a',
    '*',
    '%"',
    '@1',
    ':YQ==:',
    ':YR==:',
    '\t',
    ' ',
  ],
  run(input) {
    const text = latin1(input);
    const entries = refusing(() => parseDictionary(text), StructuredFieldError);
    const theirs = refusing(() => reference.parseDictionary(text), Error);
    if (entries === undefined) {
      if (theirs !== undefined && !beyond(text)) throw new Error('refused, and structured-headers takes it');
      return;
    }
    if (theirs === undefined) throw new Error('taken, and structured-headers refuses it');
    deepEqual(lastOfEach(entries), fromReference(theirs), 'another reading than that of structured-headers');
    const written = serializeDictionary(entries);
    deepEqual(parseDictionary(written), entries, 'written, it is read otherwise');
  },
};

/** Dates and display strings (RFC 9651), and base64 whose unused bits, padding or alphabet are not canonical. */
function beyond(text: string): boolean {
  return /[@%]/.test(text) || /:[^:]*:/.test(text);
}
