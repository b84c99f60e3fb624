import type { CDPSession, Page } from 'playwright-core';

/** What a page needs, and how it keeps up, as the browser itself counts. */
export interface PageState {
  /** Bytes that are reachable: after a garbage collection. */
  readonly heap: number;
  /** DOM nodes that are reachable, in the page or not. */
  readonly nodes: number;
  readonly listeners: number;
  /** Seconds that the main thread worked since the page began. */
  readonly busy: number;
}

/** Milliseconds each, since the last time they were taken. */
export interface PageTimes {
  /** Tasks of 50 ms and longer, as the browser tells (PerformanceObserver, `longtask`), but for those of `state()`. */
  readonly longTasks: readonly number[];
  /** How late a timer of 20 ms was. */
  readonly late: readonly number[];
  /** From a decision's own time to its row in the page, of each row that was drawn. */
  readonly delays: readonly number[];
}

export interface PageProbe {
  state(): Promise<PageState>;
  times(): Promise<PageTimes>;
}

const LATE_MS = 20;
const PROBE = `(() => {
  let seen = { longTasks: [], late: [], delays: [] };
  const looked = [];
  const at = () => performance.now();
  const during = (from, to) => looked.some((one) => from < one.to && to > one.from);
  const tasks = new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) seen.longTasks.push([startTime, duration]);
  });
  tasks.observe({ type: 'longtask' });
  let due = at() + ${LATE_MS};
  setInterval(() => {
    const now = at();
    if (now > due) seen.late.push([due, now - due]);
    else seen.late.push([now, 0]);
    due = now + ${LATE_MS};
  }, ${LATE_MS});
  new MutationObserver((changes) => {
    const now = Date.now();
    for (const { addedNodes } of changes)
      for (const node of addedNodes) {
        const time = node.nodeName === 'TR' ? node.querySelector('time') : null;
        if (time !== null) seen.delays.push(now - Date.parse(time.dateTime));
      }
  }).observe(document, { childList: true, subtree: true });
  globalThis.lemmaProbe = {
    beforeLook: () => void looked.push({ from: at(), to: Infinity }),
    afterLook: () => void (looked[looked.length - 1].to = at()),
    take: () => {
      const { longTasks, late, delays } = seen;
      seen = { longTasks: [], late: [], delays: [] };
      const own = ([from, ms]) => !during(from, from + ms);
      const taken = { longTasks: longTasks.filter(own), late: late.filter(own) };
      looked.splice(0);
      return { longTasks: taken.longTasks.map(([, ms]) => ms), late: taken.late.map(([, ms]) => ms), delays };
    },
  };
})()`;

/** Looks into a page without a hand in it: what it runs is told by the browser. Until the page is loaded anew. */
export async function probePage(page: Page): Promise<PageProbe> {
  const browser = await page.context().newCDPSession(page);
  await browser.send('Performance.enable');
  await page.evaluate(PROBE);
  return {
    async state() {
      await page.evaluate('lemmaProbe.beforeLook()');
      // The first lets go of what finalizers held.
      await browser.send('HeapProfiler.collectGarbage');
      await browser.send('HeapProfiler.collectGarbage');
      const { usedSize: heap } = await browser.send('Runtime.getHeapUsage');
      const metrics = await metricsOf(browser);
      await page.evaluate('lemmaProbe.afterLook()');
      return {
        heap,
        nodes: metrics.get('Nodes') ?? Number.NaN,
        listeners: metrics.get('JSEventListeners') ?? Number.NaN,
        busy: metrics.get('TaskDuration') ?? Number.NaN,
      };
    },
    times: async () => (await page.evaluate('lemmaProbe.take()')) as PageTimes,
  };
}

async function metricsOf(browser: CDPSession): Promise<ReadonlyMap<string, number>> {
  const { metrics } = await browser.send('Performance.getMetrics');
  return new Map(metrics.map(({ name, value }) => [name, value]));
}
