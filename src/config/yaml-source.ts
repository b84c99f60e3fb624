import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLError,
} from 'yaml';
import type { ConfigProblem } from './error.ts';

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A YAML text as plain data, and the places where its members stand. */
export interface Source {
  /** Null for an empty text, and for one that is no YAML. Not to be used where there are problems. */
  readonly value: unknown;
  readonly problems: readonly ConfigProblem[];
  /** Where a dotted field stands, or the nearest thing around it. */
  locate(field: string): Place;
}

const LONGEST = 8 * 1024 * 1024;
/** Aliases are for saying a thing twice; more than this, counted as expanded, is a bomb. */
const MOST_ALIASES = 100;
/** One slip in YAML makes many errors; the first ones tell. */
const MOST_ERRORS = 10;
const TOO_DEEP = 'is nested too deeply';

/** Reads YAML 1.2 strictly: one document, no duplicate keys, no tags of its own, no alias bombs. Never throws. */
export function readYaml(file: string, text: string): Source {
  const lines = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const fail = (message: string): Source => {
    const place = at(0);
    return { value: null, problems: [{ ...place, field: '', message }], locate: () => place };
  };
  if (text.length > LONGEST) return fail(`is over ${LONGEST} characters`);
  const read = parse(text, lines);
  if (typeof read === 'string') return fail(read);
  const { document, value, errors } = read;
  return {
    value,
    problems: errors.map((error) => ({ ...at(error.pos[0]), field: '', message: explain(error, text) })),
    locate: (field) => at(find(document, field)),
  };
}

interface Parsed {
  readonly document: Document;
  readonly value: unknown;
  readonly errors: readonly YAMLError[];
}

/** The document and its data, or what keeps it from being read at all. */
function parse(text: string, lineCounter: LineCounter): Parsed | string {
  try {
    const document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      strict: true,
      uniqueKeys: true,
      stringKeys: true,
      prettyErrors: false,
      lineCounter,
    });
    if (document.directives?.yaml.version === '1.1') return 'must be YAML 1.2: take off the %YAML directive';
    const errors = [...document.errors, ...document.warnings];
    if (errors.some((error) => error.code === 'RESOURCE_EXHAUSTION')) return TOO_DEEP;
    // With a duplicate key there is still data to look through for more that is wrong.
    const usable = errors.every((error) => error.code === 'DUPLICATE_KEY');
    const value: unknown = usable ? document.toJS({ maxAliasCount: MOST_ALIASES }) : null;
    return { document, value, errors: errors.slice(0, MOST_ERRORS) };
  } catch (error) {
    if (error instanceof RangeError) return TOO_DEEP;
    if (error instanceof ReferenceError) return 'has too many aliases: write the values out';
    throw error;
  }
}

function explain(error: YAMLError, text: string): string {
  if (error.code === 'MULTIPLE_DOCS') return 'holds a second document: keep one';
  if (error.code !== 'DUPLICATE_KEY') return error.message.replaceAll(/\s*\n\s*/g, ' ');
  const key = /^[^\s:]{1,64}/.exec(text.slice(error.pos[0]))?.[0] ?? '';
  return `duplicate key ${key}: keep one`;
}

/** Offset of the member that a dotted path names. Keys may hold dots themselves, so the longest that fits is taken. */
function find(document: Document, field: string): number {
  let node = resolved(document, document.contents);
  let offset = start(node);
  let rest = field;
  while (rest !== '' && node !== null) {
    const step = child(node, rest);
    if (step === null) break;
    offset = step.offset ?? offset;
    rest = step.rest;
    node = resolved(document, step.node);
  }
  return offset;
}

interface Step {
  readonly node: unknown;
  readonly offset: number | null;
  readonly rest: string;
}

function child(node: Node, path: string): Step | null {
  if (isSeq(node)) {
    const index = /^\[(\d+)\]\.?/.exec(path);
    if (index === null) return null;
    const item = node.items[Number(index[1])];
    return { node: item, offset: start(item), rest: path.slice(index[0].length) };
  }
  if (!isMap(node)) return null;
  const fitting = node.items
    .filter((pair) => isScalar(pair.key) && leads(String(pair.key.value), path))
    .sort((a, b) => String(b.key).length - String(a.key).length)[0];
  if (fitting === undefined) return null;
  const rest = path.slice(String(fitting.key).length);
  return {
    node: fitting.value,
    offset: start(fitting.key),
    rest: rest.startsWith('.') ? rest.slice(1) : rest,
  };
}

function leads(key: string, path: string): boolean {
  return path.startsWith(key) && ['', '.', '['].includes(path.charAt(key.length));
}

function resolved(document: Document, node: unknown): Node | null {
  if (isAlias(node)) return node.resolve(document) ?? null;
  return isNode(node) ? node : null;
}

function start(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}
