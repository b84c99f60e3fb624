import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { InputError } from '../reason.ts';
import { PROFILES } from '../schema/common.ts';
import type { RevisionTests } from '../schema/revision-tests.ts';
import type { Bundle } from './bundle.ts';
import type { Tested } from './compiler/answers.ts';
import type { Compiler } from './compiler/compiler.ts';
import { lint, review } from './lint.ts';
import { makeBundle, PolicyRefused, resultOf } from './make.ts';
import { sourcesIn } from './policy-files.ts';
import { isFailed, placeInBundle, revisionTests } from './revision-tests.ts';

export interface Numbering {
  readonly serial: number;
  /** Of each profile's bundle, behind its name. */
  readonly suffix: string;
}

/** Tests of policies that failed, or of which there are none. The message has a line for each. */
export class TestsFailed extends Error {
  override readonly name = 'TestsFailed';
}

/** `tests`: those of its profile and of `lib`, and how far those of the whole folder cover its Rego. */
export interface TestedBundle {
  readonly bundle: Bundle;
  readonly tests: RevisionTests;
}

/**
 * The bundles of all profiles from the files of a policy folder, by path, after what a pull request goes through: check,
 * lint, tests.
 *
 * @throws PolicyRefused, InputError, TestsFailed, CompilerUnavailable
 */
export async function buildTested(
  compiler: Compiler,
  files: ReadonlyMap<string, Uint8Array>,
  { serial, suffix }: Numbering,
): Promise<TestedBundle[]> {
  const missing = [...PROFILES, 'lib'].filter(
    (name) => ![...files.keys()].some((path) => path.startsWith(`${name}/`)),
  );
  if (missing.length > 0) {
    const message = `the policies have no folder ${missing.join(', ')}: the service needs all profiles, and lib`;
    throw new InputError([{ field: '', message }]);
  }
  const folder = await mkdtemp(join(tmpdir(), 'lemma-policies-'));
  try {
    for (const [path, bytes] of files) {
      const file = join(folder, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, bytes, { flag: 'wx' });
    }
    const tested = await check(compiler, folder);
    const built: TestedBundle[] = [];
    for (const profile of PROFILES) {
      const bundle = await makeBundle(compiler, folder, profile, serial, `${profile}-${suffix}`);
      built.push({ bundle, tests: revisionTests(tested, UNDER, (path) => placeInBundle(path, profile)) });
    }
    return built;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const UNDER = 'policies';

async function check(compiler: Compiler, folder: string): Promise<Tested> {
  const policies = { files: await sourcesIn(folder, UNDER), under: UNDER };
  const parsed = resultOf(await review(compiler, policies));
  const problems = parsed === null ? [] : await lint(compiler, { ...policies, parsed });
  if (problems.length > 0) throw new PolicyRefused(problems);
  const tested = resultOf(await compiler.test({ files: policies.files, coverage: true }));
  const { tests } = tested;
  if (tests.length === 0) throw new TestsFailed('there is no test: write rules test_… in *_test.rego');
  const failed = tests.filter(isFailed);
  if (failed.length === 0) return tested;
  const places = failed.map(
    (test) => `${test.file}:${test.row}:1: ${test.package}.${test.name}: ${test.outcome}`,
  );
  throw new TestsFailed([`${failed.length} of ${tests.length} tests failed`, ...places].join('\n'));
}
