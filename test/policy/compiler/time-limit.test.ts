import assert from 'node:assert/strict';
import { nextLook, patienceMs } from '../../../src/policy/compiler/time-limit.ts';

describe('the time that a call of the compiler may take', () => {
  const cases: [string, [limit: number, used: number, waited: number], ReturnType<typeof nextLook>][] = [
    ['is over with its processor time', [10_000, 10_000, 10_000], 'work'],
    ['is not over while the machine gives it little', [10_000, 1000, 60_000], 9000],
    ['is over when patience is', [10_000, 1000, patienceMs(10_000)], 'wait'],
    ['is looked at again no later than that', [10_000, 1000, patienceMs(10_000) - 5], 5],
    ['is not looked at all the time', [10_000, 9999, 10_000], 20],
  ];
  for (const [name, at, expected] of cases) it(name, () => assert.equal(nextLook(...at), expected));
});
