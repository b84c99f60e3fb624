import { isMap, LineCounter, parseDocument, type YAMLMap } from 'yaml';
import { PROFILES } from '../../schema/common.ts';
import type { PolicyProblem } from '../compiler/answers.ts';
import type { Facts } from '../lint.ts';
import { isTestFile } from '../policy-files.ts';
import { found } from './found.ts';
import { isBelow, isWithin } from './paths.ts';

/** Members of the profiles' data that no rule reads. What is read as a whole counts as read, with all that is in it. */
export function findUnread({ files, under, parsed }: Facts): PolicyProblem[] {
  const own = parsed.rules.filter(({ file }) => !isTestFile(file));
  const refs = [...new Set(own.flatMap((rule) => rule.refs))];
  return PROFILES.flatMap((profile) => {
    const file = `${under}/${profile}/data.json`;
    const text = files.get(file);
    if (text === undefined) return [];
    const lines = new LineCounter();
    // JSON is YAML too, and this reader says where each key stands.
    const { contents } = parseDocument(text, { lineCounter: lines, uniqueKeys: false });
    if (!isMap(contents)) return [];
    return unreadIn(contents, `data.lemma.${profile}`, refs).map(({ key, offset }) => {
      const { line: row, col } = lines.linePos(offset);
      const hint = 'read it in a rule, or take it out';
      return found('lint_data_unread', { file, row, col }, `no rule reads ${key}`, hint);
    });
  });
}

interface Unread {
  readonly key: string;
  readonly offset: number;
}

function unreadIn(map: YAMLMap, path: string, refs: readonly string[]): Unread[] {
  return map.items.flatMap((pair): Unread[] => {
    const { key, value } = pair as { key: { value: unknown; range?: readonly number[] }; value: unknown };
    const inner = `${path}${step(String(key.value))}`;
    if (refs.some((ref) => isWithin(inner, ref))) return [];
    if (isMap(value) && refs.some((ref) => isBelow(ref, inner))) return unreadIn(value, inner, refs);
    return [{ key: inner, offset: key.range?.[0] ?? 0 }];
  });
}

/** As OPA prints a reference. */
function step(key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
