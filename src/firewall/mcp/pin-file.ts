import { randomUUID } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { createSecret, readSecret, replaceSecret } from '../../authority/secret-file.ts';
import { InputError } from '../../reason.ts';
import { type McpPins, mcpPinsSchema } from '../../schema/mcp-pins.ts';
import { checker } from '../../schema/validate.ts';

export const PIN_FILE = 'mcp-pins.json';
export const NO_PINS: McpPins = { version: 1, servers: {} };

const check = checker(mcpPinsSchema);

/** Throws InputError or KeyFileError for a file that cannot be believed: no tool is then taken for a known one. */
export function readPins(path: string): McpPins {
  const text = readSecret(path);
  if (text === null) return NO_PINS;
  const checked = check(parsed(path, text));
  if (checked.ok) return checked.value;
  throw new InputError(
    checked.problems.map(({ field, message }) => ({ field: `${path}: ${field}`, message })),
  );
}

/**
 * The same, read anew only when another file lies there, or its owner, mode or content was touched: each call of a tool asks,
 * and an approval counts at once. The same pins are the same object.
 */
export function pinReader(path: string): () => McpPins {
  let known: { readonly stamp: string; readonly pins: McpPins } | null = null;
  return () => {
    // Looked at before it is read: what changes in between is seen the next time.
    const stamp = stampOf(path);
    if (known?.stamp !== stamp) known = { stamp, pins: readPins(path) };
    return known.pins;
  };
}

function stampOf(path: string): string {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return '';
  const { dev, ino, mode, uid, size, mtimeNs, ctimeNs } = stats;
  return [dev, ino, mode, uid, size, mtimeNs, ctimeNs].join(' ');
}

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const message = 'is no JSON: move it away, and approve the tools anew';
    throw new InputError([{ field: path, message }]);
  }
}

/** Whole or not at all, 0600. */
export function writePins(path: string, pins: McpPins): void {
  // A name of its own: a draft that a process of the same number left behind would become the pins.
  const draft = `${path}.${randomUUID()}.new`;
  createSecret(draft, JSON.stringify(pins));
  replaceSecret(draft, path);
}
