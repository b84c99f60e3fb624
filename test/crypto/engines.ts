import type { Ed25519Engine } from '../../src/crypto/ed25519-engine.ts';
import { noble } from '../../src/crypto/ed25519-noble.ts';
import { openssl } from '../../src/crypto/ed25519-openssl.ts';
import { loadSodium } from '../../src/crypto/ed25519-sodium.ts';

/** Every engine that loads here: on musl there is no sodium, and the other two must still agree. */
export const engines: readonly Ed25519Engine[] = [...loadedSodium(), openssl, noble];

function loadedSodium(): Ed25519Engine[] {
  try {
    return [loadSodium()];
  } catch {
    return [];
  }
}

/** What each says, by name, so that a failure shows who dissents. */
export function eachEngine<T>(ask: (engine: Ed25519Engine) => T): Record<string, T> {
  return Object.fromEntries(engines.map((engine) => [engine.name, ask(engine)]));
}

export function unanimous<T>(answer: T): Record<string, T> {
  return eachEngine(() => answer);
}

export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}
