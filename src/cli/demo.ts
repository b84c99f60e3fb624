import type { Call, Result } from './command.ts';
import { runTests, type TestOutcome } from './demo-tests.ts';
import { openWorld } from './demo-world.ts';
import { CliError } from './exit.ts';
import { explanationLines } from './explanation.ts';

export function define(): void {}

/** The denial that is explained at the end: the one that a policy made, not a check. */
const EXPLAINED = 'stale_taint';

/** Six containment tests, each through the real firewall, the real service and a real upstream, in a folder that goes. */
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
        ...outcomes.map((outcome, i) => testLine(call, outcome, i + 1)),
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

function heading(call: Call): string[] {
  return [
    call.terminal.style('bold', 'An agent, a firewall, an API behind it: six things that must hold'),
    '',
  ];
}

function testLine(
  call: Call,
  { ok, name, request, status, reason, why }: TestOutcome,
  number: number,
): string {
  const { style } = call.terminal;
  const mark = ok ? style('green', 'ok  ') : style('red', 'FAIL');
  const answer = `${status} ${reason}`.padEnd(22);
  const coloured = status < 400 ? style('green', answer) : style('yellow', answer);
  return `${mark} ${number}  ${name.padEnd(27)} ${request.padEnd(36)} ${coloured} ${style('dim', why)}`.trimEnd();
}

function scoreLine(call: Call, passed: number, total: number, tookMs: number): string {
  const score = call.terminal.style(
    passed === total ? ['bold', 'green'] : ['bold', 'red'],
    `${passed}/${total}`,
  );
  return `${score} in ${(tookMs / 1000).toFixed(1)} s`;
}
