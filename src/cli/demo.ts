import type { Command } from 'commander';
import type { Call, Result } from './command.ts';
import { runTests, type TestOutcome } from './demo-tests.ts';
import { openWorld } from './demo-world.ts';
import { CliError } from './exit.ts';
import { explanationLines } from './explanation.ts';

export function define(command: Command): void {
  command.option(
    '--api-base <url>',
    'Against this control plane, by a firewall that follows it (default: one of its own, offline)',
  );
}

/** The denial that is explained at the end: the one that a policy made, not a check. */
const EXPLAINED = 'stale_taint';

/**
 * Six containment tests, each through the real firewall, the real service and a real upstream, in a folder that goes; with
 * `--api-base` the service is one that runs elsewhere.
 */
export async function run(call: Call): Promise<Result> {
  const start = performance.now();
  const world = await openWorld(call);
  try {
    const { outcomes, explanations } = await runTests(world);
    const took_ms = Math.round(performance.now() - start);
    const passed = outcomes.filter(({ ok }) => ok).length;
    const total = outcomes.length;
    const explained = explanations.get(EXPLAINED) ?? null;
    const result: Result = {
      data: { tests: outcomes, passed, total, took_ms, explain: explained },
      lines: [
        ...heading(call),
        ...outcomes.flatMap((outcome, i) => testLines(call, outcome, i + 1)),
        '',
        scoreLine(call, passed, total, took_ms),
        ...(explained === null ? [] : ['', ...explanationLines(call, explained)]),
      ],
    };
    if (passed === total) return result;
    return fail(call, result, passed, total);
  } finally {
    await world.close();
  }
}

function fail(call: Call, result: Result, passed: number, total: number): never {
  if (!call.json) for (const line of result.lines) call.terminal.line(line);
  const message = `${total - passed} of ${total} containment tests failed`;
  throw new CliError('demo_failed', message, undefined, result.data as Record<string, unknown>);
}

/** What is shown: on a terminal a picture of who stands where, in a pipe one line. */
function heading({ terminal: { style, interactive } }: Call): string[] {
  const title = style('bold', 'An agent, a firewall, an API behind it: six things that must hold');
  if (!interactive) return [title, ''];
  const picture = `  agent ${style('dim', '──proof──▶')} ${style('cyan', 'firewall')} ${style('dim', '──no credential──▶')} API`;
  return [title, picture, ''];
}

/** One line in a pipe; on a terminal, which is narrower, what was asked and why stand below. */
export function testLines(call: Call, outcome: TestOutcome, number: number): string[] {
  const { ok, name, request, status, reason, why } = outcome;
  const { style, interactive } = call.terminal;
  const answer = `${status} ${reason}`;
  const coloured = (text: string) => style(status < 400 ? 'green' : 'yellow', text);
  if (!interactive) {
    const mark = ok ? 'ok  ' : 'FAIL';
    return [
      `${mark} ${number}  ${name.padEnd(27)} ${request.padEnd(36)} ${coloured(answer.padEnd(22))} ${why}`.trimEnd(),
    ];
  }
  const mark = ok ? style('green', '✔') : style('red', '✘');
  return [
    `${mark} ${style('bold', `${number} ${name.padEnd(27)}`)} ${coloured(answer)}`,
    style('dim', `    ${request}`),
    style('dim', `    ${why}`),
  ];
}

function scoreLine(call: Call, passed: number, total: number, tookMs: number): string {
  const score = call.terminal.style(
    passed === total ? ['bold', 'green'] : ['bold', 'red'],
    `${passed}/${total}`,
  );
  return `${score} in ${(tookMs / 1000).toFixed(1)} s`;
}
