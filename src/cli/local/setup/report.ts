import type { Call, Result } from '../../command.ts';
import { shown } from '../../next-steps.ts';
import { type Finding, postureOf, postureWord } from '../posture.ts';
import { type FileChange, isChange } from './files.ts';

/** How a setup ended. */
export interface Ended {
  /** Of the configuration. `backup`: where it is as it was before; null: there was none to keep. */
  readonly change: FileChange;
  readonly backup: string | null;
  readonly findings: readonly Finding[];
  readonly data: Readonly<Record<string, unknown>>;
  readonly head: string;
  readonly lines: readonly string[];
  /** The command that takes it back. */
  readonly undo: string;
}

/** What became of the configuration, then what is the setup's own, then its posture with all that is not covered. */
export function setupResult(call: Call, ended: Ended): Result {
  const { change, backup, findings, data, head, lines, undo } = ended;
  const posture = postureOf(findings);
  const path = (file: string) => shown(file, call.folder);
  const kept = `${isChange(change) ? '' : ' (as it was)'}${backup === null ? '' : `, before: ${path(backup)}`}`;
  return {
    data: {
      posture: posture.toUpperCase(),
      ...data,
      config: { path: change.path, changed: isChange(change), backup },
      gaps: findings.map(({ code, level, message }) => ({ code, level, message })),
    },
    lines: [
      head,
      `  config    ${path(change.path)}${kept}`,
      ...lines,
      postureWord(call.terminal, posture),
      ...findings.map(({ code, message }) => `  ${code}  ${message}`),
      `To take it back: ${undo}`,
    ],
    ...(posture === 'safe' ? {} : { failure: posture }),
  };
}
