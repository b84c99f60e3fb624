/**
 * Path rules (interfaces.md, "Paths that two parsers might read in two ways are denied").
 * Callers give the path as received, without the query.
 */
export interface PathProblem {
  readonly problem: string;
  /** True when `%2f` or `%5c`-free escapes of a slash are the only thing wrong: a route may allow them. */
  readonly encodedSlashOnly: boolean;
}

const UNRESERVED = /[A-Za-z0-9._~-]/;

/** What makes a path ambiguous, or null. With `allowEncodedSlash`, `%2f` stands, but what it hides is judged too. */
export function pathProblem(path: string, allowEncodedSlash = false): PathProblem | null {
  if (!path.startsWith('/')) return hard('no leading slash');
  let encodedSlash = false;
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) return hard(`byte 0x${code.toString(16)} at ${i}`);
    const char = path[i];
    if (char === ';' || char === '#' || char === '\\' || char === '?') return hard(`"${char}" at ${i}`);
    if (char !== '%') continue;
    const hex = path.slice(i + 1, i + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return hard(`malformed escape at ${i}`);
    const byte = Number.parseInt(hex, 16);
    const decoded = String.fromCharCode(byte);
    if (decoded === '/') encodedSlash = true;
    else if (byte < 0x21 || byte > 0x7e || ';#\\?'.includes(decoded)) return hard(`escape %${hex} at ${i}`);
    else if (UNRESERVED.test(decoded)) return hard(`escape of an unreserved character, %${hex}, at ${i}`);
    else if (decoded === '%' && /^[0-9A-Fa-f]{2}$/.test(path.slice(i + 3, i + 5)))
      return hard(`double escape at ${i}`);
    i += 2;
  }
  if (hidesStructure(path.slice(1).split('/'))) return hard('empty or dot segment');
  if (encodedSlash && hidesStructure(path.slice(1).split(/\/|%2[fF]/)))
    return hard('empty or dot segment behind %2f');
  if (encodedSlash && !allowEncodedSlash) return { problem: 'escaped slash', encodedSlashOnly: true };
  return null;
}

/** `//` and dot segments; one trailing slash is fine. */
function hidesStructure(segments: readonly string[]): boolean {
  return segments.some((s, i) => s === '.' || s === '..' || (s === '' && i < segments.length - 1));
}

function hard(problem: string): PathProblem {
  return { problem, encodedSlashOnly: false };
}

/** Whole-segment prefix: `/v1/a` covers `/v1/a` and `/v1/a/b`, not `/v1/ab`; `/` covers all. */
export function pathCovered(prefix: string, path: string): boolean {
  return prefix === '/' || path === prefix || path.startsWith(`${prefix}/`);
}
