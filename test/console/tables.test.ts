import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { filledViews } from '../support/console-views.ts';

interface Node {
  readonly nodeId: string;
  readonly ignored: boolean;
  readonly role?: { readonly value?: string };
  readonly name?: { readonly value?: string };
  readonly childIds?: readonly string[];
}

/** As a screen reader is told of it. */
interface TableSeen {
  readonly headers: readonly string[];
  /** Names of the cells of each row. */
  readonly rows: readonly (readonly string[])[];
}

const UNSAID =
  "document.querySelectorAll(':is(table, thead, tbody, tr:not(.space), th, tr:not(.space) > td):not([role])').length";
const HEADERS = new Set(['columnheader', 'rowheader']);
const CELLS = new Set(['cell', 'gridcell']);

describe('tables, as a screen reader is told of them', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  before(async function () {
    scene = await consoleScene(this, folder.path);
    await filledViews(scene);
  });
  after(async () => {
    await scene?.close();
    folder.remove();
  });

  async function tables(): Promise<TableSeen[]> {
    const browser = await page.context().newCDPSession(page);
    const { nodes } = (await browser.send('Accessibility.getFullAXTree')) as { readonly nodes: Node[] };
    const byId = new Map(nodes.map((node) => [node.nodeId, node]));
    const below = (node: Node): Node[] =>
      (node.childIds ?? []).flatMap((id) => {
        const child = byId.get(id);
        return child === undefined ? [] : [child, ...below(child)];
      });
    const of = (node: Node, roles: ReadonlySet<string>) =>
      below(node).filter(({ ignored, role }) => !ignored && roles.has(role?.value ?? ''));
    return of(nodes[0] as Node, new Set(['table', 'grid'])).map((table) => ({
      headers: of(table, HEADERS).map(({ name }) => name?.value ?? ''),
      rows: of(table, new Set(['row']))
        .map((row) => of(row, CELLS).map(({ name }) => name?.value ?? ''))
        .filter(({ length }) => length > 0),
    }));
  }

  for (const width of [360, 1280])
    for (const path of ['/decisions', '/runtimes', '/operators', '/keys', '/sessions', '/audit'])
      it(`${path} has rows of cells under named columns, ${width} pixels wide`, async () => {
        page ??= await scene.signedIn();
        await page.setViewportSize({ width, height: 740 });
        await page.goto(`${scene.origin}${BASE}${path}`);
        await page.getByRole('table').first().waitFor();
        await page.locator('tbody tr:not(.space)').first().waitFor();
        const [table] = await tables();
        assert.ok(table !== undefined, 'no table');
        assert.ok(table.headers.length >= 3 && !table.headers.includes(''), JSON.stringify(table.headers));
        assert.ok(table.rows.length > 0, 'no rows');
        for (const row of table.rows) assert.equal(row.length, table.headers.length);
        // Not every browser keeps them where a style makes cards of the rows: said, they hold.
        assert.equal(await page.evaluate(UNSAID), 0);
      });
});
