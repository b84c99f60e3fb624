/**
 * Stryker's test runner for this project's mocha (@stryker-mutator/mocha-runner 10.0 knows the files of mocha 12.0.0,
 * and those of later ones have other names). What a `before` hook runs counts for each test of its suite: with a
 * service that is started once for many tests, that is most of what the configuration's mutants change. Threads that a
 * test starts have the same mutant, and what they run counts for that test.
 */
import { globSync } from 'node:fs';
import { BroadcastChannel, setEnvironmentData } from 'node:worker_threads';
import { INSTRUMENTER_CONSTANTS, type InstrumenterContext } from '@stryker-mutator/api/core';
import { commonTokens, declareFactoryPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin';
import {
  type DryRunOptions,
  type DryRunResult,
  DryRunStatus,
  determineHitLimitReached,
  type MutantRunOptions,
  MutantRunStatus,
  type TestResult,
  type TestRunner,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import Mocha from 'mocha';
import { CHANNEL, type Hit, TEST } from './channel.ts';

interface Loaded {
  readonly mocha: Mocha;
  readonly suites: ReadonlyMap<string, Mocha.Suite>;
  /** Tests of each suite, in their order: a run puts those aside that it does not want. */
  readonly testsOf: ReadonlyMap<Mocha.Suite, readonly Mocha.Test[]>;
  readonly idOf: ReadonlyMap<Mocha.Test, string>;
}

const instrumented = globalThis as unknown as Record<string, InstrumenterContext>;

function createRunner(options: object): TestRunner {
  const { specs } = options as { readonly specs: readonly string[] };
  instrumented[INSTRUMENTER_CONSTANTS.NAMESPACE] ??= {};
  const context = instrumented[INSTRUMENTER_CONSTANTS.NAMESPACE] as InstrumenterContext;
  let loaded: Loaded | null = null;
  // Of a thread with `execArgv: []` too.
  process.env.NODE_OPTIONS = `--import ${new URL('thread.ts', import.meta.url).href}`;

  const load = async (): Promise<Loaded> => {
    loaded ??= await loadTests(specs.flatMap((pattern) => globSync(pattern).sort()));
    return loaded;
  };

  return {
    // Node keeps what it imported: a mutant of what runs at import needs a process of its own.
    capabilities: () => ({ reloadEnvironment: false }),
    async dryRun({ disableBail, coverageAnalysis }: DryRunOptions) {
      const tests = await load();
      const threads = hitsOfThreads();
      const result = await run(tests, null, !disableBail, (id) => {
        context.currentTestId = id;
        setEnvironmentData(TEST, id);
      });
      const hits = await threads.end();
      const coverage = context.mutantCoverage;
      if (result.status !== DryRunStatus.Complete || coverageAnalysis === 'off' || coverage === undefined)
        return result;
      for (const { test, mutant } of hits) {
        // What this process has from its imports, it has for good: such a mutant needs a process of its own as well.
        if (mutant in coverage.static) continue;
        coverage.perTest[test] = { [mutant]: 1, ...coverage.perTest[test] };
      }
      for (const [id, suite] of tests.suites) {
        const before = coverage.perTest[id];
        delete coverage.perTest[id];
        for (const test of before === undefined ? [] : testsUnder(suite, tests)) {
          coverage.perTest[test] = { ...before, ...coverage.perTest[test] };
        }
      }
      // What tests run too is judged by them, in this process: test files build their chains while they are loaded, and
      // a process of its own for each mutant of that would take an hour.
      const tested = new Set(Object.values(coverage.perTest).flatMap((hits) => Object.keys(hits)));
      for (const mutant of tested) delete coverage.static[mutant];
      return { ...result, mutantCoverage: coverage };
    },
    async mutantRun({ activeMutant, mutantActivation, testFilter, disableBail, hitLimit }: MutantRunOptions) {
      context.hitLimit = hitLimit as number;
      context.hitCount = hitLimit === undefined ? (undefined as never) : 0;
      if (mutantActivation === 'static') context.activeMutant = activeMutant.id;
      process.env[INSTRUMENTER_CONSTANTS.ACTIVE_MUTANT_ENV_VARIABLE] = activeMutant.id;
      let tests: Loaded;
      try {
        tests = await load();
      } catch (error) {
        if (mutantActivation !== 'static') throw error;
        // Test files that can't even be loaded fail, as they would without Stryker.
        return { status: MutantRunStatus.Killed, killedBy: [], failureMessage: String(error), nrOfTests: 0 };
      }
      context.activeMutant = activeMutant.id;
      const wanted = testFilter === undefined ? null : new Set(testFilter);
      const result = await run(tests, wanted, !disableBail, () => undefined);
      return toMutantRunResult(determineHitLimitReached(context.hitCount, hitLimit) ?? result);
    },
  };
}

/** What threads come by, from now on. */
function hitsOfThreads() {
  const hits: Hit[] = [];
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = (event) => void hits.push((event as { readonly data: Hit }).data);
  return {
    /** With what was sent before. */
    async end(): Promise<readonly Hit[]> {
      setEnvironmentData(TEST, undefined);
      await new Promise((resolve) => setTimeout(resolve, 500));
      channel.close();
      return hits;
    },
  };
}

async function loadTests(files: readonly string[]): Promise<Loaded> {
  // Stryker measures the time itself, and ends a process that takes too long.
  const mocha = new Mocha({ timeout: 0, reporter: class {} as never });
  mocha.cleanReferencesAfterRun(false);
  for (const file of files) mocha.addFile(file);
  await mocha.loadFilesAsync();
  const suites = new Map<string, Mocha.Suite>();
  const testsOf = new Map<Mocha.Suite, readonly Mocha.Test[]>();
  const idOf = new Map<Mocha.Test, string>();
  const seen = new Map<string, number>();
  const visit = (suite: Mocha.Suite) => {
    suites.set(`suite ${suites.size}`, suite);
    testsOf.set(suite, [...suite.tests]);
    for (const test of suite.tests) {
      const title = test.fullTitle();
      const times = seen.get(title) ?? 0;
      seen.set(title, times + 1);
      idOf.set(test, times === 0 ? title : `${title} (${times + 1})`);
    }
    suite.suites.forEach(visit);
  };
  visit(mocha.suite);
  return { mocha, suites, testsOf, idOf };
}

function testsUnder(suite: Mocha.Suite, { testsOf, idOf }: Loaded): string[] {
  const own = (testsOf.get(suite) ?? []).map((test) => idOf.get(test) ?? '');
  return [...own, ...suite.suites.flatMap((child) => testsUnder(child, { testsOf, idOf } as Loaded))];
}

/** `entered` is told the test, or the suite of a hook that stands before or after all its tests, that runs next. */
async function run(
  { mocha, suites, testsOf, idOf }: Loaded,
  wanted: ReadonlySet<string> | null,
  bail: boolean,
  entered: (id: string) => void,
): Promise<DryRunResult> {
  for (const [suite, all] of testsOf) {
    suite.bail(bail);
    suite.tests = all.filter((test) => wanted?.has(idOf.get(test) ?? '') ?? true);
  }
  const suiteIds = new Map([...suites].map(([id, suite]) => [suite, id]));
  const tests: TestResult[] = [];
  await new Promise<void>((resolve) => {
    let began = performance.now();
    const resultOf = (test: Mocha.Runnable) => {
      const name = test.fullTitle();
      const timeSpentMs = performance.now() - began;
      began = performance.now();
      return { id: idOf.get(test as Mocha.Test) ?? name, name, timeSpentMs };
    };
    const runner = mocha.run(() => resolve());
    runner.on('hook', (hook) => {
      const { parent, type } = hook as Mocha.Hook & { type: string };
      if (parent !== undefined && / all\b/.test(hook.title) && type === 'hook')
        entered(suiteIds.get(parent) ?? '');
    });
    runner.on('test', (test) => entered(idOf.get(test) ?? ''));
    runner.on('pass', (test) => tests.push({ ...resultOf(test), status: TestStatus.Success }));
    runner.on('pending', (test) => tests.push({ ...resultOf(test), status: TestStatus.Skipped }));
    runner.on('fail', (test, error) => {
      const failureMessage = error instanceof Error ? error.message : String(error);
      tests.push({ ...resultOf(test), status: TestStatus.Failed, failureMessage });
    });
  });
  return { status: DryRunStatus.Complete, tests };
}

createRunner.inject = tokens(commonTokens.options);

/** `specs`: test files, or patterns of them. (With Stryker's own `testFiles` it never has a static mutant active.) */
export const strykerValidationSchema = {
  type: 'object',
  properties: { specs: { type: 'array', items: { type: 'string' } } },
};

export const strykerPlugins = [declareFactoryPlugin(PluginKind.TestRunner, 'mocha', createRunner)];
