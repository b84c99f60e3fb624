import * as reference from 'structured-headers';
import type { BareItem, DictionaryEntry } from '../../src/crypto/structured-field.ts';

/** A dictionary that two implementations can be compared by. */
type Neutral = readonly (readonly [string, unknown])[];

function neutralParams(list: readonly { key: string; value: BareItem }[]): Neutral {
  return [...new Map(list.map(({ key, value }) => [key, neutral(value)]))];
}

function neutral(bare: BareItem): unknown {
  switch (bare.type) {
    case 'bytes':
      return { bytes: [...bare.value] };
    case 'token':
      return { token: bare.value };
    default:
      return bare.value;
  }
}

/** Entries as the package keeps them: the last of each key. */
export function lastOfEach(entries: readonly DictionaryEntry[]): Neutral {
  return [
    ...new Map(
      entries.map(({ key, value }) => [
        key,
        'items' in value
          ? [
              value.items.map((item) => [neutral(item), neutralParams(item.params)]),
              neutralParams(value.params),
            ]
          : [neutral(value), neutralParams(value.params)],
      ]),
    ),
  ];
}

/** What the package read. */
export function fromReference(dictionary: reference.Dictionary): Neutral {
  const bare = (value: reference.BareItem): unknown => {
    if (value instanceof reference.Token) return { token: value.toString() };
    if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] };
    return typeof value === 'number' ? value + 0 : value;
  };
  const all = (ps: reference.Parameters): Neutral =>
    [...ps].map(([key, value]) => [key, bare(value)] as const);
  return [...dictionary].map(([key, [value, ps]]) => [
    key,
    Array.isArray(value)
      ? [value.map(([item, itemParams]) => [bare(item), all(itemParams)]), all(ps)]
      : [bare(value), all(ps)],
  ]);
}
