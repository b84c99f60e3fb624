import type { Page } from 'playwright-core';

/** What the Decisions page says of itself. */
export interface FeedSaid {
  readonly rows: number;
  /** Older ones that made room. */
  readonly letGo: number;
  /** Whether others were passed over. */
  readonly gap: boolean;
  /** New ones that wait, paused. */
  readonly waiting: number;
  readonly drawn: number;
  readonly badge: string;
}

const SAID = `(() => {
  const text = (selector) => document.querySelector(selector)?.textContent ?? '';
  return {
    foot: text('.feed .foot'),
    pause: text('.page-head button'),
    drawn: document.querySelectorAll('table.rows tbody tr:not(.space)').length,
    badge: text('.page-head .badge'),
  };
})()`;

export async function feedSaid(page: Page): Promise<FeedSaid> {
  const said = (await page.evaluate(SAID)) as { foot: string; pause: string; drawn: number; badge: string };
  const number = (pattern: RegExp, text: string) => Number(pattern.exec(text)?.[1]?.replaceAll(',', '') ?? 0);
  return {
    rows: number(/^([\d,]+) decisions/, said.foot),
    letGo: number(/([\d,]+) older ones made room/, said.foot),
    gap: /more than/.test(said.foot),
    waiting: number(/\(([\d,]+) new\)/, said.pause),
    drawn: said.drawn,
    badge: said.badge,
  };
}

/** All that the page has told of: every decision is one of these. */
export function toldOf({ rows, letGo, waiting }: FeedSaid): number {
  return rows + letGo + waiting;
}
