import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';

/** A root secret as 24 English words (BIP-39): 256 bits of it and 8 of its SHA-256. */

export const WORDS = 24;
const KNOWN: ReadonlySet<string> = new Set(wordlist);

/** Typed words that are no root secret. `place`: of the first that is none of the list, from 1. */
export class WordsError extends Error {
  readonly place: number | null;

  constructor(message: string, place: number | null = null) {
    super(message);
    this.name = 'WordsError';
    this.place = place;
  }
}

/** `rootSecret`: 32 bytes. */
export function wordsOf(rootSecret: Uint8Array): string[] {
  if (rootSecret.length !== 32) throw new RangeError('rootSecret: must be 32 bytes');
  return entropyToMnemonic(rootSecret, wordlist).split(' ');
}

/** As people type them: any spaces, numbers before the words, commas, capitals. */
export function typedWords(text: string): string[] {
  return text
    .normalize('NFKD')
    .toLowerCase()
    .split(/[\s,;]+/)
    .map((word) => word.replace(/^\d+[.):]?/, ''))
    .filter((word) => word !== '');
}

/** The 32 bytes that the words stand for. Throws WordsError, which says which word is wrong. */
export function secretOfWords(text: string): Uint8Array {
  const words = typedWords(text);
  const at = words.findIndex((word) => !KNOWN.has(word));
  if (at !== -1) throw new WordsError(`Word ${at + 1}, “${words[at]}”, is not of the list.`, at + 1);
  if (words.length !== WORDS) throw new WordsError(`${WORDS} words are needed; these are ${words.length}.`);
  try {
    return mnemonicToEntropy(words.join(' '), wordlist);
  } catch {
    throw new WordsError(
      'Each word is of the list, but their checksum is wrong: one is another, or two are swapped.',
    );
  }
}
