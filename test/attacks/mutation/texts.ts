import { isDeepStrictEqual } from 'node:util';
import { fromBase64url, toBase64url } from '../../../src/crypto/base64url.ts';
import type { ReasonCode } from '../../../src/reason.ts';
import { keys, link, SUBJECT } from '../../support/kit.ts';
import type { Choose, Operator } from './draft.ts';
import { breaks, keeps, one, onText } from './make.ts';

/** What a changed, signed link may be found to be. */
const CHANGED: readonly ReasonCode[] = [
  'signature_invalid',
  'schema_invalid',
  'chain_parent_mismatch',
  'chain_order_invalid',
  'chain_incomplete',
  'root_untrusted',
  'version_unsupported',
  'key_weak',
  'key_reused',
];
/** … and what changed text may be, beside. */
const ANY: readonly ReasonCode[] = [...CHANGED, 'encoding_invalid', 'json_duplicate_key'];

const LINKS: readonly Operator[] = [
  keeps('links', 'reorder_members', (links, pick) => {
    const at = pick(links.length);
    const entries = Object.entries(links[at] ?? {});
    const turn = 1 + pick(entries.length - 1);
    links[at] = Object.fromEntries([...entries.slice(turn), ...entries.slice(0, turn)]);
  }),
  breaks('links', 'flip_signature_bit', 'signature_invalid', (links, pick) => {
    const found = one(links, pick);
    const bytes = fromBase64url(String(found?.[0].signature));
    if (found === null || bytes === null || bytes.length !== 64) return false;
    const bit = pick(512);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    found[0].signature = toBase64url(bytes);
  }),
  breaks(
    'links',
    'drop_link',
    ['chain_incomplete', 'chain_parent_mismatch', 'pop_invalid'],
    (links, pick, { draft }) => {
      const at = pick(links.length);
      // Whoever holds a bearer credential may use the runtime's without the run.
      if (links[at]?.type === 'run' && draft.form === 'credential') return false;
      links.splice(at, 1);
    },
  ),
  breaks('links', 'swap_links', ['chain_order_invalid', 'chain_parent_mismatch'], (links, pick) => {
    const [a, b] = [pick(links.length), pick(links.length)];
    if (a === b) return false;
    [links[a], links[b]] = [links[b] as (typeof links)[0], links[a] as (typeof links)[0]];
  }),
  breaks(
    'links',
    'double_link',
    ['chain_order_invalid', 'chain_parent_mismatch', 'chain_too_deep'],
    (links, pick) => {
      const found = one(links, pick);
      if (found === null) return false;
      links.splice(found[1], 0, found[0]);
    },
  ),
  breaks('links', 'splice_onto_another_root', 'chain_parent_mismatch', (links) => {
    const claims = { org: 'acme', env: 'prod' };
    links[0] = link('root', null, keys.issuer, keys.run, { subject: SUBJECT, claims }) as never;
  }),
  breaks('links', 'change_a_signed_member', CHANGED, (links, pick) => {
    const found = one(links, pick);
    const member = one(Object.keys(found?.[0] ?? {}).sort(), pick)?.[0];
    if (found === null || member === undefined) return false;
    const value = found[0][member];
    const changed = changedValue(value, pick);
    if (isDeepStrictEqual(value, changed)) return false;
    found[0][member] = changed;
  }),
  breaks('links', "another_layer's_signature", CHANGED, (links, pick) => {
    const [a, b] = [pick(links.length), pick(links.length)];
    const [to, from] = [links[a], links[b]];
    if (a === b || to === undefined || from === undefined || to.signature === from.signature) return false;
    to.signature = from.signature;
  }),
  breaks('links', 'drop_member', ['schema_invalid', 'version_unsupported'], (links, pick) => {
    const found = one(links, pick);
    const member = one(Object.keys(found?.[0] ?? {}).sort(), pick)?.[0];
    if (found === null || member === undefined) return false;
    delete found[0][member];
  }),
  breaks('links', 'unsigned_wrapper_member', 'schema_invalid', (links, pick) => {
    const member = ['runtime_id', 'scopes', 'org', 'constructor'][pick(4)] ?? 'org';
    const at = one(links, pick);
    if (at !== null) at[0][member] = 'bot-2';
  }),
  breaks('links', 'nest_a_chain', 'schema_invalid', (links, pick) => {
    const found = one(links.slice(0, -1), pick);
    if (found === null) return false;
    found[0].chain = structuredClone(links.slice(0, 1));
  }),
];

function changedValue(value: unknown, pick: Choose): unknown {
  if (typeof value === 'number') return value + ([1, -1, 60, 1000][pick(4)] ?? 1);
  if (typeof value === 'string') {
    const at = pick(Math.max(1, value.length));
    return value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1);
  }
  if (Array.isArray(value)) return pick(2) === 0 ? [...value, 'documents.*'] : value.slice(1);
  if (typeof value === 'object' && value !== null) return { ...value, org: 'other' };
  return null;
}

const number = (text: string, pick: Choose) => {
  const found = [...text.matchAll(/"(?:issued_at|not_before|expires_at|taint_epoch|v)":(\d+)/g)];
  return found[pick(Math.max(1, found.length))] ?? null;
};

/** The digits of a number of the credential in another spelling. */
function spelled(name: string, spell: (digits: string) => string): Operator {
  return onText('json', 'breaks', name, 'encoding_invalid', (text, pick) => {
    const found = number(text, pick);
    if (found === null) return null;
    const [whole, digits = ''] = found;
    return (
      text.slice(0, found.index) +
      whole.replace(/\d+$/, spell(digits)) +
      text.slice(found.index + whole.length)
    );
  });
}

/** Where a member may be put into an object of the text: behind an opening brace. */
function inserted(text: string, pick: Choose, member: string): string | null {
  const braces = [...text.matchAll(/\{(?=")/g)];
  const at = braces[pick(Math.max(1, braces.length))]?.index;
  return at === undefined ? null : `${text.slice(0, at + 1)}${member},${text.slice(at + 1)}`;
}

const JSONS: readonly Operator[] = [
  onText('json', 'keeps', 'white_space', [], (text, pick) => {
    const space = [' ', '\n', '\t', '\r\n'][pick(4)] ?? ' ';
    return `${space}${text.replace(/^\{/, `{${space}`).replace(/\}$/, `${space}}`)}${space}`;
  }),
  onText('json', 'keeps', 'escape_characters', [], (text, pick) => {
    const letters = [...text.matchAll(/[a-z](?=[a-z_]*":)/g)];
    const found = letters[pick(Math.max(1, letters.length))];
    if (found === undefined || text[found.index - 1] === '\\') return null;
    const code = found[0].charCodeAt(0).toString(16).padStart(4, '0');
    return `${text.slice(0, found.index)}\\u${code}${text.slice(found.index + 1)}`;
  }),
  onText('json', 'breaks', 'duplicate_key', ['json_duplicate_key'], (text, pick) => {
    const found = [...text.matchAll(/"(\w+)":("[^"\\]*"|\d+)/g)];
    const twice = found[pick(Math.max(1, found.length))];
    return twice === undefined ? null : `${text.slice(0, twice.index)}${twice[0]},${text.slice(twice.index)}`;
  }),
  spelled('exponent', (digits) => `${digits}e0`),
  spelled('fraction', (digits) => `${digits}.0`),
  spelled('minus_zero', () => '-0'),
  spelled('leading_zero', (digits) => `0${digits}`),
  spelled('over_2_53', () => '9007199254740993'),
  onText('json', 'breaks', 'byte_order_mark', 'encoding_invalid', (text) => `\ufeff${text}`),
  onText(
    'json',
    'breaks',
    'trailing_text',
    'encoding_invalid',
    (text, pick) => text + (['x', '{}', ',', '\0', '\u00a0'][pick(5)] ?? 'x'),
  ),
  onText('json', 'breaks', 'nest_deeper', 'encoding_invalid', (text, pick) =>
    inserted(text, pick, `"x":${'['.repeat(9 + pick(50))}`),
  ),
  onText('json', 'breaks', 'lone_surrogate', 'encoding_invalid', (text, pick) =>
    inserted(text, pick, '"x":"\\ud800"'),
  ),
  onText('json', 'breaks', 'prototype_member', 'schema_invalid', (text, pick) =>
    inserted(text, pick, '"__proto__":{"v":1}'),
  ),
  onText('json', 'breaks', 'cut_text', 'encoding_invalid', (text, pick) =>
    text.trimEnd().slice(0, -1 - pick(text.length - 2)),
  ),
  onText('json', 'breaks', 'wrap_in_an_array', 'encoding_invalid', (text) => `[${text}]`),
  onText('json', 'breaks', 'comment', 'encoding_invalid', (text, pick) => inserted(text, pick, '/* */"x":1')),
  onText('json', 'breaks', 'trailing_comma', 'encoding_invalid', (text) => text.replace(/\}(\s*)$/, ',}$1')),
];

/** What a changed value says, where it says something still. */
function meaning(value: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(fromBase64url(value) ?? new Uint8Array()));
  } catch {
    return undefined;
  }
}

/** Null where white space became other white space. */
function unlessSame(before: string, after: string): string | null {
  const [a, b] = [meaning(before), meaning(after)];
  return a !== undefined && isDeepStrictEqual(a, b) ? null : after;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const VALUES: readonly Operator[] = [
  onText('value', 'breaks', 'change_character', ANY, (value, pick) => {
    const at = pick(value.length);
    return unlessSame(value, value.slice(0, at) + (ALPHABET[pick(64)] ?? 'A') + value.slice(at + 1));
  }),
  onText('value', 'breaks', 'change_case', ANY, (value, pick) => {
    const at = pick(value.length);
    const char = value[at] ?? '';
    const other = char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase();
    return unlessSame(value, value.slice(0, at) + other + value.slice(at + 1));
  }),
  onText(
    'value',
    'breaks',
    'cut_value',
    ['encoding_invalid', 'auth_required', 'credential_ambiguous'],
    (value, pick) => unlessSame(value, value.slice(0, pick(value.length))),
  ),
  onText('value', 'breaks', 'padding', 'encoding_invalid', (value, pick) => value + '='.repeat(1 + pick(3))),
  onText('value', 'breaks', 'standard_alphabet', 'encoding_invalid', (value, pick) => {
    const at = pick(value.length);
    return value.slice(0, at) + (pick(2) === 0 ? '+' : '/') + value.slice(at);
  }),
  onText('value', 'breaks', 'white_space_within', 'encoding_invalid', (value, pick) => {
    const at = 1 + pick(value.length - 1);
    return `${value.slice(0, at)} ${value.slice(at)}`;
  }),
  onText('value', 'breaks', 'set_unused_bits', 'encoding_invalid', (value) => {
    const unused = { 0: 0, 2: 15, 3: 3 }[(value.length % 4) as 0 | 2 | 3] ?? 0;
    if (unused === 0) return null;
    return value.slice(0, -1) + (ALPHABET[ALPHABET.indexOf(value.at(-1) ?? 'A') | 1] ?? 'B');
  }),
  onText('value', 'breaks', 'oversize', 'payload_too_large', (value) => value + 'A'.repeat(21_848)),
  onText('value', 'breaks', 'look_alike_character', 'encoding_invalid', (value, pick) => {
    const at = pick(value.length);
    return `${value.slice(0, at)}\u00e0${value.slice(at + 1)}`;
  }),
];

export const TEXTS: readonly Operator[] = [...LINKS, ...JSONS, ...VALUES];
