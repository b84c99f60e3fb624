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
  const draft = `${path}.${process.pid}.new`;
  createSecret(draft, JSON.stringify(pins));
  replaceSecret(draft, path);
}
