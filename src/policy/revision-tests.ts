import { type BundleManifest, DATA_FILE, isAdapted } from '../schema/bundle.ts';
import type { Profile } from '../schema/common.ts';
import type { FailedTest, RevisionTests, Rows } from '../schema/revision-tests.ts';
import { type Bundle, regoIn } from './bundle.ts';
import type { FileCoverage, Range, Tested, TestOutcome } from './compiler/answers.ts';
import type { Compiler } from './compiler/compiler.ts';
import { lineOf, resultOf } from './make.ts';
import { isRego, isTestFile, type Sources, underProfile } from './policy-files.ts';

const FAILURES_AT_MOST = 20;
const DETAIL_LENGTH = 500;
/** Data are placed relative to the folder that OPA is given. */
const UNDER = 'policies';

/**
 * Runs tests against the Rego and data of a bundle, just as it is. `tests`: by path below the folder of policies (`low/x_test.rego`,
 * `lib/…`); they read what they would there.
 *
 * @throws PolicyRefused: they do not compile, or are ended since they take too long
 */
export async function testBundle(compiler: Compiler, bundle: Bundle, tests: Sources): Promise<RevisionTests> {
  const { manifest, name } = bundle;
  const adapted = isAdapted(manifest);
  const files = new Map<string, string>();
  const put = (path: string, text: string) => files.set(`${UNDER}/${path}`, text);
  for (const [path, text] of regoIn(bundle.files)) put(authoredPath(path, manifest, name), text);
  for (const [path, text] of tests) put(path, adapted ? text : underProfile(text, name));
  const data = dataOf(bundle);
  if (data !== null) put(adapted ? DATA_FILE : `${name}/${DATA_FILE}`, data);
  const tested = resultOf(await compiler.test({ files, coverage: true }));
  return revisionTests(tested, UNDER, (path) => bundledPath(path, manifest, name));
}

/**
 * What a run of tests in the folder `under` says about one bundle. `bundled`: where a file below it stands in the bundle; null: in none of
 * its folders, so that its tests and rows do not count.
 */
export function revisionTests(
  { tests, coverage }: Tested,
  under: string,
  bundled: (path: string) => string | null,
): RevisionTests {
  const below = (file: string) => file.slice(under.length + 1);
  const own = tests
    .map((test) => ({ ...test, file: below(test.file) }))
    .filter(({ file }) => bundled(file) !== null);
  const failed = own.filter(isFailed);
  const skipped = own.filter(({ outcome }) => outcome === 'skip');
  const covered = [...(coverage?.files ?? [])].flatMap(([path, file]) => {
    const inBundle = bundled(below(path));
    return inBundle === null || isTestFile(path) ? [] : [{ file: inBundle, ...rowsOf(file) }];
  });
  covered.sort((a, b) => (a.file < b.file ? -1 : 1));
  return {
    passed: own.length - failed.length - skipped.length,
    failed: failed.length,
    skipped: skipped.length,
    failures: failed.slice(0, FAILURES_AT_MOST).map(failureOf),
    coverage: {
      percent: percentOf(
        sum(covered, ({ hit }) => hit),
        sum(covered, ({ missed }) => missed),
      ),
      files: covered.map(({ file, hit, missed, not_covered }) => ({
        file,
        percent: percentOf(hit, missed),
        not_covered,
      })),
    },
  };
}

/** Where the Rego of a profile stands in its bundle, from its path in a folder of policies; null for what is not of it. */
export function placeInBundle(path: string, profile: Profile): string | null {
  if (path.startsWith('lib/')) return `lemma/${profile}/${path}`;
  return path.startsWith(`${profile}/`) ? `lemma/${path}` : null;
}

type FailedOutcome = TestOutcome & { readonly outcome: 'fail' | 'error' };

export function isFailed(test: TestOutcome): test is FailedOutcome {
  return test.outcome === 'fail' || test.outcome === 'error';
}

function failureOf({
  package: where,
  name,
  file,
  row,
  outcome,
  error,
  cases,
  output,
}: FailedOutcome): FailedTest {
  const inner = [
    ...(error === null ? [] : [lineOf(error)]),
    ...cases.filter(({ pass }) => !pass).map((one) => `case ${one.name.join('/')} failed`),
    ...(output === '' ? [] : [output]),
  ];
  return { name: `${where}.${name}`, file, row, outcome, detail: inner.join('\n').slice(0, DETAIL_LENGTH) };
}

/** Rows, not ranges: OPA gives one range for each expression. A row that some test reaches is covered. */
function rowsOf({ covered, notCovered }: FileCoverage) {
  const hit = rowsIn(covered);
  const missed = [...rowsIn(notCovered)].filter((row) => !hit.has(row)).sort((a, b) => a - b);
  const not_covered: Rows[] = [];
  for (const row of missed) {
    const last = not_covered.at(-1);
    if (last?.to === row - 1) not_covered[not_covered.length - 1] = { from: last.from, to: row };
    else not_covered.push({ from: row, to: row });
  }
  return { hit: hit.size, missed: missed.length, not_covered };
}

function rowsIn(ranges: readonly Range[]): Set<number> {
  const rows = new Set<number>();
  for (const { start, end } of ranges) for (let row = start.row; row <= end.row; row += 1) rows.add(row);
  return rows;
}

/** Two digits behind the point, as OPA has it, never rounded up to 100. Of nothing, all is covered. */
function percentOf(hit: number, missed: number): number {
  if (missed === 0) return 100;
  return Math.floor((hit / (hit + missed)) * 10_000) / 100;
}

function sum<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((total, one) => total + of(one), 0);
}

/** The other way of `placeInBundle`. */
function authoredPath(path: string, manifest: BundleManifest, profile: Profile): string {
  if (isAdapted(manifest)) return path;
  const under = `lemma/${profile}/`;
  if (path.startsWith(`${under}lib/`)) return path.slice(under.length);
  return path.startsWith(under) ? path.slice('lemma/'.length) : path;
}

function bundledPath(path: string, manifest: BundleManifest, profile: Profile): string | null {
  if (!isRego(path)) return null;
  return isAdapted(manifest) ? path : (placeInBundle(path, profile) ?? path);
}

/** As its author has it: what a bundle of ours holds below its root; null where it has none. */
function dataOf({ files, manifest, name }: Bundle): string | null {
  const bytes = files.get(DATA_FILE);
  if (bytes === undefined) return null;
  const text = new TextDecoder().decode(bytes);
  if (isAdapted(manifest)) return text;
  const { lemma } = JSON.parse(text) as { readonly lemma?: Readonly<Record<string, unknown>> };
  return lemma === undefined ? null : JSON.stringify(lemma[name]);
}
