/**
 * Runs before all else in each thread that a test starts: tells the test's own thread which mutants it comes by. (The
 * mutant that is active there, Stryker's own code reads from the environment.)
 */
import { BroadcastChannel, getEnvironmentData, isMainThread } from 'node:worker_threads';
import { INSTRUMENTER_CONSTANTS } from '@stryker-mutator/api/core';
import { CHANNEL, type Hit, TEST } from './channel.ts';

const test = getEnvironmentData(TEST);
if (!isMainThread && typeof test === 'string') {
  const channel = new BroadcastChannel(CHANNEL);
  channel.unref();
  const hits = new Proxy<Record<string, number>>(
    {},
    {
      set(all, mutant: string, count: number) {
        if (!(mutant in all)) channel.postMessage({ test, mutant } satisfies Hit);
        all[mutant] = count;
        return true;
      },
    },
  );
  Object.assign(globalThis, {
    [INSTRUMENTER_CONSTANTS.NAMESPACE]: {
      currentTestId: test,
      mutantCoverage: { static: {}, perTest: { [test]: hits } },
    },
  });
}
