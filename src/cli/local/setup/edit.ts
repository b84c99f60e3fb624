import { isDeepStrictEqual } from 'node:util';
import {
  childOf,
  type Json5Member,
  type Json5Node,
  memberOf,
  parseJson5,
  pastTrivia,
  plainOf,
} from './json5.ts';

/*
 * Changes of a JSON, JSONC or JSON5 text that leave every other byte of it as it is, comments and all. A change that is there
 * already gives the very same text. Each throws Json5Error, and EditError where the text has something else in the way.
 */

/** `path` is what is in the way. */
export class EditError extends Error {
  override readonly name = 'EditError';
  readonly path: string;
  constructor(path: readonly string[], message: string) {
    super(`${path.join('.') || 'the file'} ${message}`);
    this.path = path.join('.');
  }
}

type ListNode = Exclude<Json5Node, { kind: 'scalar' }>;

/** The data of a text; undefined where there is nothing at the path. */
export function readAt(text: string, path: readonly string[]): unknown {
  const node = path.reduce<Json5Node | undefined>((at, key) => childOf(at, key), parseJson5(text));
  return node === undefined ? undefined : plainOf(node);
}

/** Gives the member this value. What leads there is made where it is missing. */
export function setMember(text: string, path: readonly string[], value: unknown): string {
  const { inner, missing } = reach(text, path);
  const [key, ...deeper] = missing;
  if (key === undefined) {
    if (isDeepStrictEqual(plainOf(inner), value)) return text;
    const style = styleOf(text, inner);
    return splice(text, inner.start, inner.end, render(value, style.indent, style));
  }
  if (inner.kind !== 'object') throw new EditError(path.slice(0, -missing.length), 'is no object');
  const nested = deeper.reduceRight<unknown>((value, name) => ({ [name]: value }), value);
  const style = styleOf(text, inner);
  return insert(text, inner, (indent) => `${renderKey(key, style)}: ${render(nested, indent, style)}`);
}

/** Adds an item to the list, unless it has it. */
export function addItem(text: string, path: readonly string[], item: unknown): string {
  const { inner, missing } = reach(text, path);
  if (missing.length > 0) return setMember(text, path, [item]);
  if (inner.kind !== 'array') throw new EditError(path, 'is no list');
  if (inner.items.some((one) => isDeepStrictEqual(plainOf(one), item))) return text;
  const style = styleOf(text, inner);
  return insert(text, inner, (indent) => render(item, indent, style));
}

/** Takes a member away, with the comma and the line that are its own. */
export function removeMember(text: string, path: readonly string[]): string {
  const { inner, missing } = reach(text, path.slice(0, -1));
  const member = missing.length > 0 ? undefined : memberOf(inner, path.at(-1) ?? '');
  if (member === undefined || inner.kind !== 'object') return text;
  const index = inner.members.indexOf(member);
  const after = pastTrivia(text, member.value.end);
  const followed = text[after] === ',';
  const [start, end] = wholeLines(text, member.start, followed ? after + 1 : member.value.end);
  const without = splice(text, start, end, '');
  const before = inner.members[index - 1];
  if (followed || before === undefined) return without;
  // The one before becomes the last: where that had no comma, it has none.
  const comma = pastTrivia(text, before.value.end);
  return splice(without, comma, comma + 1, '');
}

/** How far a path leads, and what of it is not there. */
function reach(text: string, path: readonly string[]) {
  let inner: Json5Node = parseJson5(text);
  for (const [i, key] of path.entries()) {
    const child = childOf(inner, key);
    if (child === undefined && inner.kind !== 'object') throw new EditError(path.slice(0, i), 'is no object');
    if (child === undefined) return { inner, missing: path.slice(i) };
    inner = child;
  }
  return { inner, missing: [] };
}

function splice(text: string, start: number, end: number, put: string): string {
  return text.slice(0, start) + put + text.slice(end);
}

interface Style {
  readonly newline: string;
  readonly unit: string;
  /** Of the line that the node begins on. */
  readonly indent: string;
  readonly quoted: boolean;
}

function styleOf(text: string, node: Json5Node): Style {
  const root = parseJson5(text);
  const keys = keysOf(root);
  const first = root.kind === 'object' ? root.members[0] : undefined;
  const own = first === undefined ? '' : indentAt(text, first.start);
  return {
    newline: text.includes('\r\n') ? '\r\n' : '\n',
    unit: own === '' || (first !== undefined && !startsLine(text, first.start)) ? '  ' : own,
    indent: indentAt(text, node.start),
    quoted: keys.length === 0 || keys.some(({ quoted, key }) => quoted && IDENTIFIER.test(key)),
  };
}

function keysOf(node: Json5Node): Json5Member[] {
  if (node.kind === 'scalar') return [];
  if (node.kind === 'array') return node.items.flatMap(keysOf);
  return node.members.flatMap((member) => [member, ...keysOf(member.value)]);
}

function lineStart(text: string, at: number): number {
  return text.lastIndexOf('\n', at - 1) + 1;
}

function indentAt(text: string, at: number): string {
  return /^[ \t]*/.exec(text.slice(lineStart(text, at), at))?.[0] ?? '';
}

/** Nothing but spaces stands before it on its line. */
function startsLine(text: string, at: number): boolean {
  return lineStart(text, at) > 0 && /^[ \t]*$/.test(text.slice(lineStart(text, at), at));
}

/** A span, with its lines where nothing else stands on them. */
function wholeLines(text: string, start: number, end: number): [number, number] {
  const rest = /^[ \t]*(?:\r?\n|$)/.exec(text.slice(end))?.[0];
  if (rest !== undefined && startsLine(text, start)) return [lineStart(text, start), end + rest.length];
  const space = /^[ \t]*/.exec(text.slice(end))?.[0].length ?? 0;
  return [start, end + space];
}

/** A new last element, laid out as the others are. */
function insert(text: string, list: ListNode, element: (indent: string) => string): string {
  const close = list.end - 1;
  const { newline, unit, indent } = styleOf(text, list);
  const elements =
    list.kind === 'object' ? list.members.map(({ start, value }) => ({ start, end: value.end })) : list.items;
  const last = elements.at(-1);
  if (last === undefined) {
    const inside = indent + unit;
    if (startsLine(text, close))
      return splice(text, lineStart(text, close), lineStart(text, close), inside + element(inside) + newline);
    const spare = text.slice(list.start + 1, close).trim() === '' ? list.start + 1 : close;
    return splice(text, spare, close, `${newline}${inside}${element(inside)}${newline}${indent}`);
  }
  const onLines = startsLine(text, last.start) && startsLine(text, close);
  const inside = onLines ? indentAt(text, last.start) : indent;
  const put = element(inside);
  if (!onLines) {
    const comma = list.comma ? pastTrivia(text, last.end) + 1 : last.end;
    return splice(text, comma, comma, list.comma ? ` ${put},` : `, ${put}`);
  }
  const at = lineStart(text, close);
  const added = splice(text, at, at, `${inside}${put}${list.comma ? ',' : ''}${newline}`);
  return list.comma ? added : splice(added, last.end, last.end, ',');
}

const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]*$/;

function renderKey(key: string, { quoted }: Style): string {
  return !quoted && IDENTIFIER.test(key) ? key : JSON.stringify(key);
}

/** Short lists of plain values stay on one line. */
function render(value: unknown, indent: string, style: Style): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inside = indent + style.unit;
  const items = Array.isArray(value)
    ? value.map((item) => render(item, inside, style))
    : Object.entries(value).map(([key, item]) => `${renderKey(key, style)}: ${render(item, inside, style)}`);
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  if (items.length === 0) return open + close;
  const plain = Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null);
  if (plain && items.join(', ').length <= 100) return `${open}${items.join(', ')}${close}`;
  const lines = items.map((item) => inside + item).join(`,${style.newline}`);
  return `${open}${style.newline}${lines}${style.newline}${indent}${close}`;
}
