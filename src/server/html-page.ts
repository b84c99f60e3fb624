import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { tagsOf } from './etag.ts';
import { type Html, html } from './html.ts';

/** The frame of every page that people read here: no script, nothing from elsewhere, one style within the page. */

export interface PageLink {
  readonly title: string;
  readonly path: string;
}

export interface PageParts {
  readonly title: string;
  /** Of the page itself, to be marked in the navigation. */
  readonly path: string;
  readonly groups: readonly { readonly title: string; readonly links: readonly PageLink[] }[];
  readonly body: Html;
}

/** Where all of them are listed. */
export const HOME: PageLink = { title: 'Documentation', path: '/docs' };

const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --back: #fff; --panel: #f4f6f8; --line: #d0d7de; --link: #0550ae; --mark: #cf222e }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9aa5b1; --back: #0f1318; --panel: #181e25; --line: #38424d; --link: #79b8ff; --mark: #ff8e88 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.6 system-ui, sans-serif }
a { color: var(--link) }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
.skip { position: absolute; left: -100vw }
.skip:focus { left: 1rem; top: 1rem; background: var(--back); padding: .5rem }
.frame { max-width: 76rem; margin: 0 auto; padding: 0 1rem; display: grid; grid-template-columns: 14rem minmax(0, 1fr); gap: 2.5rem }
nav { padding: 1.5rem 0; font-size: .95rem }
nav p { margin: 1.2rem 0 .2rem; color: var(--soft); font-weight: 600 }
nav ul { list-style: none; margin: 0; padding: 0 }
nav li a { display: block; padding: .2rem 0; text-decoration: none }
nav li a:hover { text-decoration: underline }
nav [aria-current] { font-weight: 700; color: inherit }
main { padding: 1rem 0 4rem; overflow-wrap: break-word }
h1 { line-height: 1.25; margin-top: .5rem }
h2 { margin: 2.5rem 0 .5rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); line-height: 1.3 }
h3 { margin: 2rem 0 .5rem; line-height: 1.3 }
:target { scroll-margin-top: 1rem }
.anchor { margin-left: .4rem; color: var(--soft); text-decoration: none; font-weight: 400 }
code, pre { font: .875em/1.5 ui-monospace, monospace }
code { background: var(--panel); padding: .1em .3em; border-radius: .25rem }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem 1rem; overflow-x: auto }
pre code { background: none; padding: 0; font-size: 1em }
.wide { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-size: .92rem }
th, td { border: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top }
th { background: var(--panel) }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: .25rem solid var(--line); color: var(--soft) }
.soft { color: var(--soft) }
.method { font-weight: 700 }
.required { color: var(--mark) }
summary { cursor: pointer; font-weight: 600; padding: .3rem 0 }
@media (max-width: 50rem) {
  .frame { display: block }
  nav { padding: 1rem 0; border-bottom: 1px solid var(--line) }
  nav ul { display: flex; flex-wrap: wrap; gap: 0 1rem }
  nav p { margin: .6rem 0 0 }
}
`;

const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** A page as it is served, with its tag. */
export interface Page {
  readonly text: string;
  readonly tag: string;
}

export function pageOf({ title, path, groups, body }: PageParts): Page {
  const links = groups.map(
    (group) => html`<p>${group.title}</p><ul>${group.links.map((link) => linkTo(link, path))}</ul>`,
  );
  const { html: text } = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Lemma</title>
<style>${{ html: STYLE }}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<div class="frame">
<nav aria-label="Documentation"><ul>${linkTo(HOME, path)}</ul>${links}</nav>
<main id="content">
${body}
</main>
</div>
</body>
</html>
`;
  return { text, tag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"` };
}

function linkTo(link: PageLink, path: string): Html {
  return link.path === path
    ? html`<li><a href="${link.path}" aria-current="page">${link.title}</a></li>`
    : html`<li><a href="${link.path}">${link.title}</a></li>`;
}

/** 304 to who has it already. */
export function sendPage({ text, tag }: Page, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.headers({ 'content-security-policy': POLICY, 'cache-control': 'no-cache', etag: tag });
  if (tagsOf(request)(tag)) return reply.code(304).send();
  return reply.type('text/html; charset=utf-8').send(text);
}
