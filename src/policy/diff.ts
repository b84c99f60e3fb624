import { DATA_FILE, WASM_FILE } from '../schema/bundle.ts';
import { type Bundle, fileOf } from './bundle.ts';
import { diffLines } from './diff-lines.ts';

/** One file that is not the same in both. `lines`: a unified hunk; null for what is no text, or too much of it. */
export interface FileDiff {
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  readonly lines: readonly string[] | null;
}

/** What a bundle asks of the service (`metadata.lemma`): headers to show, what is redacted, steps, memory and more. */
export interface CapabilityDiff {
  readonly member: string;
  readonly from: unknown;
  readonly to: unknown;
}

export interface BundleDiff {
  readonly rego: readonly FileDiff[];
  readonly data: readonly FileDiff[];
  readonly capabilities: readonly CapabilityDiff[];
  /** Whether the module is the same, byte for byte. */
  readonly module_equal: boolean;
}

/** A hunk is found by comparing each line with each. */
const COMPARISONS_AT_MOST = 4_000_000;

/** What changes from one bundle to another of the same profile. */
export function diffBundles(from: Bundle, to: Bundle): BundleDiff {
  const paths = [...new Set([...from.files.keys(), ...to.files.keys()])].sort();
  const rego = paths.filter((path) => path.endsWith('.rego'));
  return {
    rego: rego.flatMap((path) => fileDiff(path, textOf(from, path), textOf(to, path))),
    data: fileDiff(DATA_FILE, indented(textOf(from, DATA_FILE)), indented(textOf(to, DATA_FILE))),
    capabilities: capabilityDiff(from, to),
    module_equal: Buffer.compare(fileOf(from, WASM_FILE), fileOf(to, WASM_FILE)) === 0,
  };
}

function textOf({ files }: Bundle, path: string): string | null {
  const bytes = files.get(path);
  return bytes === undefined ? null : new TextDecoder().decode(bytes);
}

/** Data in one line would be one change. */
function indented(json: string | null): string | null {
  return json === null ? null : JSON.stringify(JSON.parse(json), null, 2);
}

function fileDiff(path: string, before: string | null, after: string | null): FileDiff[] {
  if (before === after) return [];
  const change = before === null ? 'added' : after === null ? 'removed' : 'changed';
  const size = (text: string | null) => (text ?? '').split('\n').length;
  const lines =
    size(before) * size(after) > COMPARISONS_AT_MOST ? null : diffLines(before ?? '', after ?? '');
  return [{ path, change, lines }];
}

function capabilityDiff(from: Bundle, to: Bundle): CapabilityDiff[] {
  const before: Record<string, unknown> = from.manifest.metadata.lemma;
  const after: Record<string, unknown> = to.manifest.metadata.lemma;
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((member) => JSON.stringify(before[member]) !== JSON.stringify(after[member]))
    .sort()
    .map((member) => ({ member, from: before[member] ?? null, to: after[member] ?? null }));
}
