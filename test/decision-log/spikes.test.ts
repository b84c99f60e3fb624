import fc from 'fast-check';
import { createActivity } from '../../src/decision-log/activity.ts';
import { type Alert, createAlerts } from '../../src/decision-log/alerts.ts';
import { createLags } from '../../src/decision-log/lags.ts';
import { createNodeWatch } from '../../src/decision-log/node-watch.ts';
import { TENANT } from '../store/fixture.ts';
import { recordBody } from './fixture.ts';

const MINUTE = 60_000;
const START = 29_833_333 * MINUTE;
const WINDOW = 5;

/** What happens in one minute: how many are allowed, how many denied. */
interface Busy {
  readonly allow: number;
  readonly deny: number;
}

/** Minutes in which something happens, with so many silent ones before each. */
type History = readonly (Busy & { readonly asleep: number })[];

/** The spikes that are told in the last of the minutes. */
function spikesAfter(history: History): readonly Alert[] {
  let now = START;
  const clock = () => now;
  const activity = createActivity(clock);
  const alerts = createAlerts({
    ...{ home: TENANT, activity, lags: createLags(), nodes: createNodeWatch(), clock, born: START },
    ...{ lost: () => 0, upload: () => null, sharedSince: () => null },
  });
  for (const { allow, deny, asleep } of history) {
    now += (1 + asleep) * MINUTE;
    if (allow > 0) activity.recorded(recordBody({ time: now, requests: allow }));
    const denied = { verdict: 'deny', reason: 'scope_denied', requests: deny } as const;
    if (deny > 0) activity.recorded(recordBody({ time: now, ...denied }));
  }
  return alerts.summary(TENANT).alerts.filter(({ kind }) => kind === 'deny_spike');
}

const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);
const awake = (one: Busy) => ({ ...one, asleep: 0 });
const facts = (spikes: readonly Alert[]) => spikes.map(({ severity, facts }) => ({ severity, facts }));

const busy = fc.record({ allow: fc.integer({ min: 1, max: 50 }), deny: fc.integer({ min: 0, max: 50 }) });
const minutes = (minLength: number, maxLength: number) => fc.array(busy, { minLength, maxLength });

describe('a deny spike, for whatever came before', () => {
  it('is not told before ten minutes with decisions, be it ever so many denials', () => {
    const denied = fc.integer({ min: 1, max: 1_000_000 });
    fc.assert(
      fc.property(minutes(0, 9), minutes(1, 4), denied, (before, window, deny) => {
        const history = [...before, ...window, { allow: 0, deny }].map(awake);
        // The window is the last five minutes: fewer than ten of these are before it.
        const known = history.length - WINDOW;
        fc.pre(known < 10);
        return spikesAfter(history).length === 0;
      }),
    );
  });

  it('is not told below ten denials', () => {
    const few = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: WINDOW, maxLength: WINDOW });
    fc.assert(
      fc.property(minutes(10, 70), few, (before, window) => {
        fc.pre(window.reduce((sum, one) => sum + one, 0) < 10);
        const history = [...before, ...window.map((deny) => ({ allow: 1, deny }))].map(awake);
        return spikesAfter(history).length === 0;
      }),
    );
  });

  it('is not told of what goes on as it always did', () => {
    fc.assert(
      fc.property(busy, fc.integer({ min: 1, max: 100 }), (one, length) => {
        return spikesAfter(times(length, one).map(awake)).length === 0;
      }),
    );
  });

  it('is the same however long the deployment slept before and between', () => {
    const asleep = fc.array(fc.integer({ min: 0, max: 2000 }), { minLength: 80, maxLength: 80 });
    fc.assert(
      fc.property(minutes(10, 70), asleep, fc.integer({ min: 0, max: 5000 }), (before, gaps, deny) => {
        const window = times(WINDOW, { allow: 1, deny: Math.floor(deny / WINDOW) });
        const always = [...before, ...window].map(awake);
        const slept = always.map((one, n) => ({ ...one, asleep: n <= before.length ? (gaps[n] ?? 0) : 0 }));
        const told = [always, slept].map((history) => JSON.stringify(facts(spikesAfter(history))));
        return told[0] === told[1];
      }),
    );
  });

  it('is told, and critical, of a hundred times what is usual', () => {
    const some = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 90 }), some, (length, deny) => {
        const history = [
          ...times(length, { allow: 5, deny }),
          ...times(WINDOW, { allow: 5, deny: 100 * deny }),
        ];
        const [spike, ...others] = spikesAfter(history.map(awake));
        return spike?.severity === 'critical' && others.length === 0;
      }),
    );
  });

  it('began no earlier than its window, and not after its last minute', () => {
    fc.assert(
      fc.property(minutes(10, 70), fc.integer({ min: 0, max: WINDOW - 1 }), (before, calm) => {
        const window = [
          ...times(calm, { allow: 1, deny: 0 }),
          ...times(WINDOW - calm, { allow: 1, deny: 5000 }),
        ];
        const history = [...before, ...window].map(awake);
        const [spike] = spikesAfter(history);
        const first = START + (history.length - WINDOW + calm + 1) * MINUTE;
        return spike?.since === first;
      }),
    );
  });
});
