import { readdir, readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { escaped, html } from './html.ts';
import { HOME, type Page, type PageLink, type PageParts, pageOf } from './html-page.ts';

/**
 * The pages of `/docs`: a Markdown file each in `src/docs/`, whose front matter says `title`, `group`, `order` and
 * `description`. Another page is another file.
 */

const FOLDER = new URL('../docs/', import.meta.url);
export const API_REFERENCE: PageLink = { title: 'API reference', path: '/openapi' };
const REFERENCE = 'Reference';

export interface DocsPage {
  /** The file's name without `.md`. */
  readonly name: string;
  readonly title: string;
  readonly group: string;
  /** Pages and groups are in the order of this number. */
  readonly order: number;
  /** One sentence. */
  readonly description: string;
  readonly markdown: string;
}

/** In their order. Throws an Error that names the file whose front matter is not as above. */
export async function readDocs(folder: URL = FOLDER): Promise<DocsPage[]> {
  const names = (await readdir(folder)).filter((name) => /^[a-z0-9-]+\.md$/.test(name));
  const pages = names.map(async (name) => docsPage(name, await readFile(new URL(name, folder), 'utf8')));
  return (await Promise.all(pages)).sort((a, b) => a.order - b.order);
}

function docsPage(file: string, text: string): DocsPage {
  const [, front = '', markdown = ''] = /^---\n(.*?)\n---\n(.*)$/s.exec(text) ?? [];
  const { title, group, order, description } = (parse(front) ?? {}) as Record<string, unknown>;
  if (
    typeof title !== 'string' ||
    typeof group !== 'string' ||
    typeof description !== 'string' ||
    typeof order !== 'number'
  )
    throw new Error(`${file}: must begin with --- title, group, order (a number), description ---`);
  return { name: file.slice(0, -'.md'.length), title, group, order, description, markdown };
}

export interface Docs {
  readonly index: Page;
  readonly pages: ReadonlyMap<string, Page>;
}

export async function renderDocs(docs: readonly DocsPage[]): Promise<Docs> {
  const render = await createRenderer();
  const groups = groupsOf(docs);
  const pages = docs.map(({ name, title, markdown }) => {
    const body = html`<h1>${title}</h1>
${{ html: render(markdown) }}`;
    return [name, pageOf({ title, path: `${HOME.path}/${name}`, groups, body })] as const;
  });
  return { index: indexOf(docs, groups), pages: new Map(pages) };
}

/** The navigation: the pages by group, then what describes the API. */
export function groupsOf(docs: readonly DocsPage[]): PageParts['groups'] {
  const groups = new Map<string, PageLink[]>();
  for (const { name, title, group } of docs)
    groups.set(group, [...(groups.get(group) ?? []), { title, path: `${HOME.path}/${name}` }]);
  groups.set(REFERENCE, [...(groups.get(REFERENCE) ?? []), API_REFERENCE]);
  return [...groups].map(([title, links]) => ({ title, links }));
}

function indexOf(docs: readonly DocsPage[], groups: PageParts['groups']): Page {
  const described = new Map(docs.map(({ name, description }) => [`${HOME.path}/${name}`, description]));
  const about = ({ path }: PageLink) =>
    described.get(path) ?? 'Every operation, its permission, schemas and errors.';
  const lists = groups.map(
    ({ title, links }) =>
      html`<h2>${title}</h2><ul>${links.map((link) => html`<li><a href="${link.path}">${link.title}</a>: ${about(link)}</li>`)}</ul>`,
  );
  return pageOf({ ...HOME, groups, body: html`<h1>${HOME.title}</h1>${lists}` });
}

/** Loaded when somebody reads: the service itself needs no Markdown. */
async function createRenderer(): Promise<(markdown: string) => string> {
  const { Marked } = await import('marked');
  const slugs = new Map<string, number>();
  const marked = new Marked({
    gfm: true,
    renderer: {
      heading({ tokens, depth, text }) {
        const slug = slugOf(text, slugs);
        const anchor = `<a class="anchor" href="#${slug}" aria-label="Link to this section">#</a>`;
        return `<h${depth} id="${slug}">${this.parser.parseInline(tokens)}${anchor}</h${depth}>\n`;
      },
      code({ text, lang = '' }) {
        const language = /^\w*/.exec(lang)?.[0] ?? '';
        const marked = language === '' ? '' : ` class="language-${language}"`;
        return `<pre tabindex="0"><code${marked}>${escaped(text)}</code></pre>\n`;
      },
      table(token) {
        const cell = (name: 'th' | 'td') => (one: (typeof token.header)[number]) =>
          `<${name}>${this.parser.parseInline(one.tokens)}</${name}>`;
        const rows = token.rows.map((row) => `<tr>${row.map(cell('td')).join('')}</tr>`);
        const head = `<tr>${token.header.map(cell('th')).join('')}</tr>`;
        return `<div class="wide" tabindex="0" role="region" aria-label="Table"><table><thead>${head}</thead><tbody>${rows.join('')}</tbody></table></div>\n`;
      },
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens);
        const target = targetOf(href);
        return target === null ? text : `<a href="${escaped(target)}">${text}</a>`;
      },
      // Nothing of another's making: neither markup nor pictures.
      html: ({ text }) => escaped(text),
      image: ({ text }) => escaped(text),
    },
  });
  return (markdown) => {
    slugs.clear();
    return marked.parse(markdown, { async: false });
  };
}

/** Another page is linked as its file, so that links hold in the repository too. */
function targetOf(href: string): string | null {
  const page = /^([a-z0-9-]+)\.md(#[a-z0-9-]+)?$/.exec(href);
  if (page !== null) return `${HOME.path}/${page[1]}${page[2] ?? ''}`;
  return /^(?:https:\/\/|\/(?!\/)|#)/.test(href) ? href : null;
}

/** As GitHub names headings. */
function slugOf(text: string, taken: Map<string, number>): string {
  const plain = text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
  const before = taken.get(plain) ?? 0;
  taken.set(plain, before + 1);
  return before === 0 ? plain : `${plain}-${before}`;
}
