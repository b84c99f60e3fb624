import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** Nothing that axe finds on the page as it is now. */
export async function assertAccessible(page: Page): Promise<void> {
  await page.evaluate(AXE);
  const found = (await page.evaluate(
    'axe.run(document).then(({ violations }) => violations)',
  )) as Violation[];
  // The first of each kind: a table has many.
  const first = found.flatMap(({ id, nodes: [one] }) =>
    one === undefined ? [] : [`${id}: ${one.html} ${one.failureSummary}`],
  );
  assert.deepEqual(first, [], page.url());
}
