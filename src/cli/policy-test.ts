import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Coverage, Range, Tested, TestOutcome } from '../policy/compiler/answers.ts';
import type { Compiler } from '../policy/compiler/compiler.ts';
import { uncoveredRules } from '../policy/lint/untested.ts';
import { lineOf } from '../policy/make.ts';
import { isTestFile } from '../policy/policy-files.ts';
import { isFailed } from '../policy/revision-tests.ts';
import { type Call, type Result, textOption } from './command.ts';
import { CliError, misuse } from './exit.ts';
import { withCompiler } from './policy-errors.ts';
import { type PolicyFolder, readPolicies } from './policy-folder.ts';
import { junitXml } from './policy-junit.ts';
import { defineWatch, repeated } from './policy-watch.ts';

export function define(command: Command): void {
  command
    .argument('[path]', "Folder of policies (default: ./policies, else the package's own)")
    .option('--run <regex>', 'Only tests whose full name matches (data.lemma.low_test.test_x)')
    .option('--coverage', 'Say which rules and lines no test evaluates')
    .option('--threshold <percent>', 'Fail when fewer lines are covered')
    .option('--junit <file>', 'Write the outcome as JUnit XML too');
  defineWatch(command);
}

/** Runs the rules `test_…`. Fails when one fails, when there is none, and below the threshold. */
export function run(call: Call): Promise<Result | null> {
  return withCompiler((compiler) => {
    const threshold = thresholdOf(call);
    return repeated(call, (root) => tested(call, compiler, root, threshold));
  });
}

async function tested(
  call: Call,
  compiler: Compiler,
  folder: string,
  threshold: number | null,
): Promise<Result> {
  const policies = await readPolicies(call, folder);
  const pattern = textOption(call.options, 'run');
  const answer = await compiler.test({
    files: policies.files,
    coverage: threshold !== null || call.options.coverage === true,
    ...(pattern === undefined ? {} : { run: pattern }),
  });
  const report = reportOf(policies, policies.resultOf(answer), threshold);
  const junit = textOption(call.options, 'junit');
  if (junit !== undefined) writeFileSync(resolve(call.folder, junit), junitXml(report.tests));
  if (report.problem === null) return { data: report.data, lines: report.lines };
  const { code, message } = report.problem;
  const text = [message, ...report.lines].join('\n');
  throw new CliError(code, text, 1, report.data);
}

function thresholdOf(call: Call): number | null {
  const text = textOption(call.options, 'threshold');
  if (text === undefined) return null;
  const value = Number(text);
  if (/^\d{1,3}(?:\.\d+)?$/.test(text) && value <= 100) return value;
  throw misuse(`--threshold must be a number from 0 to 100, not "${text}"`);
}

function reportOf(policies: PolicyFolder, tested: Tested, threshold: number | null) {
  const tests = tested.tests.map((test) => ({ ...test, file: policies.place(test.file) }));
  const failed = tests.filter(isFailed);
  const skipped = tests.filter(({ outcome }) => outcome === 'skip');
  const { coverage } = tested;
  const rules = coverage === null ? null : uncoveredRules(coverage);
  const count = `${tests.length - failed.length - skipped.length} of ${tests.length} tests pass`;
  const lines = [
    ...failed.flatMap((test) => failureLines(policies, test)),
    ...(skipped.length === 0 ? [count] : [`${count}, ${skipped.length} skipped`]),
    ...(coverage === null ? [] : coverageLines(policies, coverage)),
    ...policies.placed(rules ?? []).map(lineOf),
  ];
  const data = {
    path: policies.root,
    tests: tests.map(({ durationMs: duration_ms, ...test }) => ({ ...test, duration_ms })),
    coverage:
      coverage === null
        ? null
        : {
            percent: coverage.percent,
            not_covered: uncovered(policies, coverage),
            problems: rules === null ? null : policies.placed(rules),
          },
  };
  return { tests, lines, data, problem: problemOf(tests.length, failed.length, coverage, threshold) };
}

function problemOf(all: number, failed: number, coverage: Coverage | null, threshold: number | null) {
  if (all === 0)
    return { code: 'tests_missing', message: 'there is no test: write rules test_… in *_test.rego' };
  if (failed > 0) return { code: 'tests_failed', message: `${failed} of ${all} tests failed` };
  if (threshold === null) return null;
  const percent = coverage?.percent ?? 0;
  if (percent >= threshold) return null;
  return { code: 'coverage_low', message: `coverage of ${percent.toFixed(2)} % is under ${threshold} %` };
}

function failureLines(policies: PolicyFolder, test: TestOutcome): string[] {
  const { file, row, package: where, name, outcome, error, output, trace, cases } = test;
  const inner = [
    ...(error === null ? [] : [lineOf(error)]),
    ...cases.filter(({ pass }) => !pass).map((one) => `case ${one.name.join('/')} failed`),
    ...output.split('\n').filter((line) => line !== ''),
    ...trace.map((line) => line.replaceAll(`${policies.under}/`, `${policies.place(`${policies.under}/`)}`)),
  ];
  return [`${file}:${row}:1: ${where}.${name}: ${outcome}`, ...inner.map((line) => `\t${line}`)];
}

function coverageLines(policies: PolicyFolder, coverage: Coverage): string[] {
  return [
    `coverage: ${coverage.percent.toFixed(2)} %`,
    ...uncovered(policies, coverage).map(
      ({ file, rows }) => `  ${file}: no test evaluates ${rows.join(', ')}`,
    ),
  ];
}

function uncovered(policies: PolicyFolder, { files }: Coverage): { file: string; rows: string[] }[] {
  return [...files]
    .filter(([file, { notCovered }]) => !isTestFile(file) && notCovered.length > 0)
    .map(([file, { notCovered }]) => ({
      file: policies.place(file),
      rows: [...new Set(notCovered.map(rowsOf))],
    }));
}

function rowsOf({ start, end }: Range): string {
  return start.row === end.row ? `${start.row}` : `${start.row}-${end.row}`;
}
