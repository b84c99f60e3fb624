import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { type ControlApi, cell, controlApi, defineControlOptions, member } from './control-api.ts';
import { misuse } from './exit.ts';
import { KIND_NAMES } from './impact-lines.ts';
import { digestOf } from './policy-revision.ts';
import { table } from './terminal.ts';

const PATH = '/api/wallet/policies/shadow';
/** Of the changes, for a person; --json has those that the control plane keeps. */
const SHOWN = 20;

export function define(command: Command): void {
  command.argument(
    '[bundle...]',
    'Digests or revisions of published bundles to evaluate beside the active ones',
  );
  command.option('--off', 'End it');
  defineControlOptions(command);
}

/** Names shadows, ends them, or says what they would have decided otherwise. */
export async function run(call: Call): Promise<Result> {
  const off = call.options.off === true;
  if (off && call.args.length > 0) throw misuse('--off ends all of them: name no bundle with it');
  const api = controlApi(call);
  if (!off && call.args.length === 0) return found(call, api);
  const bundles: string[] = [];
  for (const named of call.args) bundles.push(await digestOf(api, named));
  return shadowed(api, bundles);
}

/** Has the bundles shadow, in the place of those that did. */
export async function shadowed(api: ControlApi, digests: readonly string[]): Promise<Result> {
  const answer = await api.post(PATH, { bundles: digests });
  const bundles = listed(answer.bundles);
  return {
    data: { bundles },
    lines:
      bundles.length === 0
        ? ['No policy is shadowed']
        : bundles.map((one) => `${cell(member(one, 'revision'))} shadows ${cell(member(one, 'name'))}`),
  };
}

async function found({ terminal }: Call, api: ControlApi): Promise<Result> {
  const { bundles, counts, changes } = await api.get(PATH);
  const shadows = listed(bundles);
  if (shadows.length === 0) return { data: { bundles, counts, changes }, lines: ['No policy is shadowed'] };
  const count = (name: string, kind: string) => [name, cell(member(counts, kind))];
  return {
    data: { bundles, counts, changes },
    lines: [
      ...shadows.map(
        (one) =>
          `${cell(member(one, 'revision'))} shadows ${cell(member(one, 'name'))} since ${cell(member(one, 'since'))}`,
      ),
      ...table(
        [
          count('same', 'same'),
          ...KIND_NAMES.map(([kind, name]) => count(name, kind)),
          count('not comparable', 'not_comparable'),
          count('dropped', 'dropped'),
        ],
        terminal.interactive,
      ),
      ...table(listed(changes).slice(0, SHOWN).map(changeRow), terminal.interactive),
    ],
  };
}

function changeRow(change: unknown): string[] {
  const of = (...names: string[]) => cell(member(change, ...names));
  const said = (when: 'was' | 'now') =>
    of(when, 'allow') === 'true' ? 'allow' : `deny ${of(when, 'reason')}`;
  return [of('kind'), of('decision_id'), of('route'), of('runtime'), `${said('was')} -> ${said('now')}`];
}

function listed(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
