import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { groupsOf, readDocs, renderDocs } from '../../src/server/docs-pages.ts';
import { openApi } from '../../src/server/openapi.ts';
import { openApiPage } from '../../src/server/openapi-page.ts';
import { OPERATIONS, type Operation } from '../../src/server/operations.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { PAGES } from '../docs/pages.ts';
import { controlWorld } from './support.ts';

type World = Awaited<ReturnType<typeof controlWorld>>;

const PATHS = ['/docs', '/openapi', ...PAGES.map(({ name }) => `/docs/${name}`)];
/** Of HTML, those that have no end. */
const VOID = new Set(['meta', 'br', 'hr', 'img', 'input', 'link']);

/** Names the first tag that is not closed where it must be; null: all are. */
function unbalanced(html: string): string | null {
  const open: string[] = [];
  for (const [tag, end, name = ''] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*>/g)) {
    if (VOID.has(name)) continue;
    if (end === '') open.push(name);
    else if (open.pop() !== name) return tag;
  }
  return open.at(-1) ?? null;
}

const idsIn = (html: string) => [...html.matchAll(/ id="([^"]+)"/g)].map(([, id = '']) => id);

describe('the documentation, as it is served', () => {
  let world: World;
  const texts = new Map<string, string>();
  before(async () => {
    world = await controlWorld();
    for (const url of PATHS) texts.set(url, (await get(url)).payload);
  });
  after(() => world.close());
  const get = (url: string, headers: Record<string, string> = {}) => world.app.inject({ url, headers });
  const textOf = (url: string) => texts.get(url) ?? '';

  for (const path of PATHS) {
    describe(path, () => {
      it('is HTML, for anybody, without a key', async () => {
        const { statusCode, headers } = await get(path);
        deepEqual([statusCode, headers['content-type']], [200, 'text/html; charset=utf-8']);
      });

      it('allows itself nothing but its own style', async () => {
        const { headers, payload } = await get(path);
        const [, style = ''] = /<style>(.*?)<\/style>/s.exec(payload) ?? [];
        const digest = createHash('sha256').update(style).digest('base64');
        equal(
          headers['content-security-policy'],
          `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
        );
        ok(!/<script|<iframe|<img|\sstyle=|\son\w+=|javascript:/i.test(payload));
      });

      it('is kept by its tag', async () => {
        const { headers } = await get(path);
        const again = await get(path, { 'if-none-match': `"other", W/${headers.etag}` });
        deepEqual([again.statusCode, again.payload, again.headers.etag], [304, '', headers.etag]);
        equal(headers['cache-control'], 'no-cache');
      });

      it('closes what it opens, and names each place once', () => {
        equal(unbalanced(textOf(path)), null);
        const ids = idsIn(textOf(path));
        deepEqual(ids.length, new Set(ids).size);
      });

      it('has one heading of the first rank, a language and a way past the navigation', () => {
        equal(textOf(path).match(/<h1>/g)?.length, 1);
        match(textOf(path), /<html lang="en">.*href="#content".*<main id="content">/s);
      });

      it('says in its navigation where one is', () => {
        const current = [...textOf(path).matchAll(/<a href="([^"]+)" aria-current="page">/g)];
        deepEqual(
          current.map(([, href]) => href),
          [path],
        );
      });

      it('links only what is there', () => {
        const links = [...textOf(path).matchAll(/ href="([^"]+)"/g)].map(([, href = '']) => href);
        const broken = links.filter((href) => {
          const [page = '', anchor] = href.split('#');
          if (page === '/openapi.json') return false;
          const target = texts.get(page === '' ? path : page);
          return target === undefined || (anchor !== undefined && !idsIn(target).includes(anchor));
        });
        deepEqual(broken, []);
      });
    });
  }

  it('the first page names every other, and what it is about', async () => {
    for (const { name, description } of await readDocs()) {
      ok(textOf('/docs').includes(`href="/docs/${name}"`), name);
      ok(textOf('/docs').includes(description), description);
    }
  });

  it('a page that is not there is 404', async () => {
    const answers = await Promise.all(
      ['none', '..%2fapp', 'constructor'].map((name) => get(`/docs/${name}`)),
    );
    deepEqual(
      answers.map(({ statusCode, json }) => [statusCode, (json() as { error: string }).error]),
      answers.map(() => [404, 'not_found']),
    );
  });

  describe('the API reference', () => {
    for (const [id, operation] of Object.entries<Operation>(OPERATIONS)) {
      it(`has ${id}, its permission and a request`, () => {
        const { method, path, needs } = operation;
        const [, part = ''] =
          new RegExp(`<section aria-labelledby="${id}">(.*?)</section>`, 's').exec(textOf('/openapi')) ?? [];
        ok(part.includes(`<span class="method">${method}</span> <code>${path}</code>`), part);
        const expected =
          needs === null
            ? 'Needs no key.'
            : needs === 'signed_in'
              ? 'Needs a key or a session'
              : `Needs the permission <code>${needs}</code>.`;
        ok(part.includes(expected), part);
        ok(part.includes('curl -s'));
        for (const code of operation.errors) ok(part.includes(code), code);
      });
    }

    it('names members of bodies and answers, with what they must be', () => {
      const [, part = ''] =
        /<section aria-labelledby="issueProof">(.*?)<\/section>/s.exec(textOf('/openapi')) ?? [];
      match(
        part,
        /<code>audience<\/code> <span class="required">required<\/span><\/td><td>list of string<\/td>/,
      );
      match(
        part,
        /<code>ttl_s<\/code><\/td><td>integer<\/td><td>[^<]*default 3600; at least 1; at most 86400/,
      );
      match(part, /<code>bounds\.methods<\/code>/);
      match(part, /&quot;scope&quot;:\[&quot;&lt;scope&gt;&quot;\]/);
    });
  });
});

describe('pages of the documentation', () => {
  let folder: ReturnType<typeof emptyFolder>;
  beforeEach(() => {
    folder = emptyFolder();
  });
  afterEach(() => folder.remove());
  const FRONT = '---\ntitle: A page\ngroup: More\norder: 5\ndescription: What it says.\n---\n';
  const write = (name: string, text: string) => writeFileSync(join(folder.path, name), text);
  const read = () => readDocs(pathToFileURL(`${folder.path}/`));
  async function rendered(markdown: string): Promise<string> {
    write('page.md', FRONT + markdown);
    const { pages } = await renderDocs(await read());
    return /<h1>A page<\/h1>\n(.*)<\/main>/s.exec(pages.get('page')?.text ?? '')?.[1]?.trim() ?? '';
  }

  it('are a file each, in the order that they say', async () => {
    write('second.md', FRONT.replace('5', '6'));
    write('first.md', FRONT);
    write('README', 'not a page');
    deepEqual(
      (await read()).map(({ name }) => name),
      ['first', 'second'],
    );
  });

  it('without front matter are an error that names the file', async () => {
    write('bare.md', '# A page');
    await rejects(read(), /^Error: bare\.md: must begin with/);
  });

  it('show markup as text', async () =>
    equal(
      await rendered('A <script>alert(1)</script> and <b onclick="x()">b</b>\n'),
      '<p>A &lt;script&gt;alert(1)&lt;/script&gt; and &lt;b onclick=&quot;x()&quot;&gt;b&lt;/b&gt;</p>',
    ));

  it('show code as text', async () =>
    equal(
      await rendered('```sh run\necho "<b>" && true\n```\n'),
      '<pre tabindex="0"><code class="language-sh">echo &quot;&lt;b&gt;&quot; &amp;&amp; true</code></pre>',
    ));

  it('link files of other pages, and https; nothing else', async () =>
    equal(
      await rendered(
        '[a](other.md#x) [b](https://a.example/) [c](javascript:alert(1)) [d](//evil.example) [e](x.html)\n',
      ),
      '<p><a href="/docs/other#x">a</a> <a href="https://a.example/">b</a> c d e</p>',
    ));

  it('number headings of the same name', async () => {
    const ids = idsIn(await rendered('## The `x`, and y\n\n## The x and y\n'));
    deepEqual(ids, ['the-x-and-y', 'the-x-and-y-1']);
  });

  it('show what an API description says as text', () => {
    const document = openApi('<script>');
    const { text } = openApiPage(document, groupsOf([]));
    ok(text.includes('Lemma &lt;script&gt;') && !text.includes('<script>'));
  });
});
