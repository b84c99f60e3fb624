import type { Random } from '../support/random.ts';

const EDGES = [
  0x00, 0x01, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20, 0x22, 0x25, 0x2c, 0x2e, 0x2f, 0x5c, 0x7f, 0x80, 0xa0, 0xc0,
  0xe2, 0xff,
];
const encoder = new TextEncoder();

/** Bytes of `base` with one to eight small changes, mostly one; `others` lend pieces. */
export function mutated(
  base: Uint8Array,
  others: readonly Uint8Array[],
  words: readonly string[],
  random: Random,
  maxBytes: number,
): Uint8Array {
  let bytes: Uint8Array = base;
  for (let changes = random(2) === 0 ? 1 : 1 + random(1 << random(4)); changes > 0; changes--)
    bytes = changed(bytes, others, words, random);
  return bytes.length > maxBytes ? bytes.subarray(0, maxBytes) : bytes;
}

function changed(
  bytes: Uint8Array,
  others: readonly Uint8Array[],
  words: readonly string[],
  random: Random,
): Uint8Array {
  const at = random(bytes.length + 1);
  const length = 1 + random(1 << random(6));
  switch (random(9)) {
    case 0:
      return replaced(bytes, at, 1, Uint8Array.of((bytes[at] ?? 0) ^ (1 << random(8))));
    case 1:
      return replaced(bytes, at, 1, Uint8Array.of(random(256)));
    case 2:
      return replaced(bytes, at, random(2), Uint8Array.of(EDGES[random(EDGES.length)] ?? 0));
    case 3:
      return replaced(bytes, at, length, new Uint8Array());
    case 4: {
      const from = random(bytes.length + 1);
      return replaced(bytes, at, 0, bytes.subarray(from, from + length));
    }
    case 5:
    case 6: {
      const word = encoder.encode(words[random(Math.max(1, words.length))] ?? '');
      return replaced(bytes, at, random(2) === 0 ? 0 : word.length, word);
    }
    case 7: {
      const other = others[random(Math.max(1, others.length))] ?? bytes;
      const from = random(other.length + 1);
      return replaced(
        bytes,
        at,
        random(2) === 0 ? bytes.length : length,
        other.subarray(from, from + length * 8),
      );
    }
    default: {
      const piece = bytes.subarray(at, at + 1 + random(8));
      return replaced(bytes, at, 0, repeated(piece, 1 + random(40)));
    }
  }
}

function replaced(bytes: Uint8Array, at: number, cut: number, put: Uint8Array): Uint8Array {
  const end = Math.min(bytes.length, at + cut);
  const whole = new Uint8Array(at + put.length + bytes.length - end);
  whole.set(bytes.subarray(0, at));
  whole.set(put, at);
  whole.set(bytes.subarray(end), at + put.length);
  return whole;
}

function repeated(piece: Uint8Array, times: number): Uint8Array {
  const whole = new Uint8Array(piece.length * times);
  for (let i = 0; i < times; i++) whole.set(piece, i * piece.length);
  return whole;
}
