import type { TestOutcome } from '../policy/compiler/answers.ts';

/** JUnit's XML, as CI systems read it: a suite per package. Times are seconds. */
export function junitXml(tests: readonly TestOutcome[]): string {
  const suites = Map.groupBy(tests, (test) => test.package);
  const inner = [...suites].map(([name, cases]) => suiteXml(name, cases)).join('');
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites${countsOf(tests)}>\n${inner}</testsuites>\n`;
}

function suiteXml(name: string, tests: readonly TestOutcome[]): string {
  const cases = tests.map(caseXml).join('');
  return `  <testsuite name="${escaped(name)}"${countsOf(tests)}>\n${cases}  </testsuite>\n`;
}

function countsOf(tests: readonly TestOutcome[]): string {
  const count = (outcome: TestOutcome['outcome']) => tests.filter((test) => test.outcome === outcome).length;
  const time = tests.reduce((sum, test) => sum + test.durationMs, 0);
  return ` tests="${tests.length}" failures="${count('fail')}" errors="${count('error')}" skipped="${count('skip')}" time="${seconds(time)}"`;
}

function caseXml(test: TestOutcome): string {
  const head = `    <testcase classname="${escaped(test.package)}" name="${escaped(test.name)}" file="${escaped(test.file)}" line="${test.row}" time="${seconds(test.durationMs)}"`;
  const detail = detailXml(test);
  return detail === '' ? `${head}/>\n` : `${head}>\n      ${detail}\n    </testcase>\n`;
}

function detailXml({ outcome, error, trace, output }: TestOutcome): string {
  const text = escaped([...trace, ...(output === '' ? [] : [output])].join('\n'));
  switch (outcome) {
    case 'pass':
      return '';
    case 'skip':
      return '<skipped/>';
    case 'fail':
      return `<failure message="the test is not true">${text}</failure>`;
    case 'error':
      return `<error message="${escaped(error?.message ?? 'the test broke off')}">${text}</error>`;
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(6);
}

const ENTITIES = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
]);

/** XML 1.0 knows no other control characters than these three, not even escaped. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^\P{Cc}\t\n\r]|[\uFFFE\uFFFF]/gu, '\uFFFD')
    .replaceAll(/[&<>"]/g, (char) => ENTITIES.get(char) ?? char);
}
