import type { Command } from 'commander';
import { runImpact } from '../pdp/impact/run.ts';
import type { Impact } from '../schema/impact.ts';
import { type Call, collect, listOption, type Result } from './command.ts';
import { controlApi, defineControlOptions } from './control-api.ts';
import { misuse } from './exit.ts';
import { candidatesOf } from './impact-candidate.ts';
import { impactLines, notReproduced, unseen } from './impact-lines.ts';
import { impactMarkdown } from './impact-markdown.ts';
import { bundleFinder, sourceOf } from './impact-source.ts';
import { explained } from './policy-errors.ts';

/** How many decisions each class has, the worst class first. */
const FAIL_ON = {
  'newly-allowed': ({ counts }) => counts.newly_allowed,
  error: ({ counts }) => counts.error,
  'newly-denied': ({ counts }) => counts.newly_denied,
  changed: ({ counts }) => counts.reason_changed + counts.effects_changed,
  'not-comparable': unseen,
} as const satisfies Record<string, (impact: Impact) => number>;

export function define(command: Command): void {
  command.argument(
    '[candidate]',
    'Policies (a folder), a bundle, a folder of bundles, or a published one by its digest or revision (default: ./policies)',
  );
  command.option(
    '--against <what>',
    'An export of decisions (NDJSON, also gzip; - for standard input), or a revision: its decisions in the log',
  );
  command.option('--since <time>', 'Decisions of the log from then on: 7d, 24h, or RFC 3339');
  command.option('--until <time>', 'Decisions of the log before then');
  command.option(
    '--bundles <folder>',
    'Where the bundles are that decided (repeatable; those of the package and of the control plane are known)',
    collect,
  );
  command.option(
    '--fail-on <class>',
    `Exit 1 where there is any: ${Object.keys(FAIL_ON).join(', ')} (repeatable)`,
    collect,
  );
  command.option('--markdown', 'A comment for a pull request instead');
  defineControlOptions(command);
}

/**
 * What a change of policies would do to decisions that were made: each input is evaluated again, first with the bundle that
 * decided it, then with the candidate.
 */
export function run(call: Call): Promise<Result> {
  return explained(async () => {
    const failOn = failOnOf(call);
    if (call.json && call.options.markdown === true) throw misuse('give one of --json and --markdown');
    let asked: ReturnType<typeof controlApi> | null = null;
    const api = () => {
      asked ??= controlApi(call);
      return asked;
    };
    const candidates = await candidatesOf(call, call.args[0], api);
    const source = await sourceOf(call, api);
    const known = source.kind === 'log' || call.options.apiBase !== undefined ? api() : null;
    const impact = await runImpact({
      lines: source.lines,
      only: source.only,
      candidates,
      bundleOf: await bundleFinder(call, candidates, known),
      onProgress: ({ records }) => call.terminal.progress(`${records} decisions evaluated`),
    }).finally(() => call.terminal.progress(null));
    const failure = failureOf(impact, failOn);
    const data = { against: source.described, fail_on: listOption(call.options, 'failOn'), ...impact };
    const markdown = call.options.markdown === true;
    const lines = markdown
      ? impactMarkdown(impact, source.described, call.program).split('\n')
      : impactLines(impact, source.described, call.terminal);
    if (unseen(impact) > 0)
      call.terminal.note(
        call.terminal.styleNote(
          'yellow',
          `warning: nothing is known of ${unseen(impact)} decisions: see why they are not comparable`,
        ),
      );
    if (failure !== undefined && !markdown && impact.reproduced.not_equal === 0)
      call.terminal.note(call.terminal.styleNote('red', `error: --fail-on ${failure.replaceAll('_', '-')}`));
    return { data, lines, ...(failure === undefined ? {} : { failure }) };
  });
}

function failOnOf({ options }: Call): (keyof typeof FAIL_ON)[] {
  return listOption(options, 'failOn').map((named) => {
    if (isFailOn(named)) return named;
    throw misuse(`--fail-on must be one of ${Object.keys(FAIL_ON).join(', ')}, not "${named}"`);
  });
}

function isFailOn(named: string): named is keyof typeof FAIL_ON {
  return Object.hasOwn(FAIL_ON, named);
}

/** What the exit code says. */
function failureOf(impact: Impact, failOn: readonly (keyof typeof FAIL_ON)[]): string | undefined {
  if (notReproduced(impact)) return 'not_reproduced';
  const found = Object.keys(FAIL_ON)
    .filter(isFailOn)
    .find((named) => failOn.includes(named) && FAIL_ON[named](impact) > 0);
  return found?.replaceAll('-', '_');
}
