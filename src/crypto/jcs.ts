/** Far over what any document here needs; under what the stack bears. */
const DEEPEST = 512;

/**
 * The RFC 8785 form of JSON data: members by UTF-16 code units, numbers and strings as ECMAScript writes them.
 * Throws TypeError, naming the place, for what JSON cannot hold or two readers could read in two ways: undefined, NaN,
 * an infinity, bigint, symbol, function, a lone surrogate (in keys too), an object that is neither plain nor without
 * prototype, and nesting over 512 (a cycle has no end). `toJSON` is not asked.
 */
export function canonicalJson(value: unknown): string {
  return write(value, []);
}

function write(value: unknown, path: (string | number)[]): string {
  switch (typeof value) {
    case 'string':
      return writeString(value, path);
    case 'number':
      if (!Number.isFinite(value)) throw refusal(path, String(value));
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (path.length >= DEEPEST) throw refusal(path.slice(0, 8), `deeper than ${DEEPEST}, or a cycle`);
      return Array.isArray(value) ? writeArray(value, path) : writeObject(value, path);
    case 'undefined':
    case 'bigint':
    case 'symbol':
    case 'function':
      throw refusal(path, typeof value);
  }
}

function writeString(text: string, path: readonly (string | number)[]): string {
  if (!text.isWellFormed()) throw refusal(path, 'a lone surrogate');
  return JSON.stringify(text);
}

function writeArray(items: readonly unknown[], path: (string | number)[]): string {
  let out = '[';
  // By index, so that a hole is seen as the undefined that it is.
  for (let i = 0; i < items.length; i++) {
    path.push(i);
    out += (i === 0 ? '' : ',') + write(items[i], path);
    path.pop();
  }
  return `${out}]`;
}

function writeObject(object: object, path: (string | number)[]): string {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== null && prototype !== Object.prototype) throw refusal(path, 'not a plain object');
  const members = object as Readonly<Record<string, unknown>>;
  let out = '{';
  // The default order of sort() is by UTF-16 code units (RFC 8785 section 3.2.3).
  for (const key of Object.keys(members).sort()) {
    path.push(key);
    out += `${out.length === 1 ? '' : ','}${writeString(key, path)}:${write(members[key], path)}`;
    path.pop();
  }
  return `${out}}`;
}

function refusal(path: readonly (string | number)[], what: string): TypeError {
  const place = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
  return new TypeError(`no canonical JSON: ${place === '' ? 'the value' : place} is ${what}`);
}
