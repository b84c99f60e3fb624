import { API_REFERENCE } from './docs-pages.ts';
import { type Html, html, NOTHING, prose } from './html.ts';
import { type Page, type PageParts, pageOf } from './html-page.ts';
import type { Content, Described, OpenApi, Parameter } from './openapi.ts';
import { exampleOf, type Row, rowsOf } from './schema-rows.ts';

/** The OpenAPI document as a page: every operation with its permission, schemas, errors and a request to start from. */
export function openApiPage(document: OpenApi, groups: PageParts['groups']): Page {
  const { info, tags, paths, components } = document;
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, described]) => ({ path, method: method.toUpperCase(), described })),
  );
  const list = operations.map(
    ({ path, method, described: { operationId } }) =>
      html`<li><a href="#${operationId}"><code>${method} ${path}</code></a></li>`,
  );
  const body = html`<h1>${API_REFERENCE.title}</h1>
<p>${info.title} ${info.version}. ${prose(info.description)} For programs: <a href="/openapi.json"><code>/openapi.json</code></a>, OpenAPI ${document.openapi}.</p>
<ul>${tags.map(({ name, description }) => html`<li><code>${name}</code>: ${prose(description)}</li>`)}</ul>
<p>A failure answers with the shape <a href="#schema-Error">Error</a>, whatever the operation.</p>
<details><summary>All ${operations.length} operations</summary><ul>${list}</ul></details>
<h2 id="credentials">Credentials</h2>
<ul>${Object.entries(components.securitySchemes).map(([name, scheme]) => html`<li><code>${name}</code>: ${prose(textIn(scheme, 'description'))}</li>`)}</ul>
<h2 id="operations">Operations</h2>
${operations.map(operationPart)}
<h2 id="schemas">Schemas</h2>
${Object.entries(components.schemas).map(([name, schema]) => html`<h3 id="schema-${name}">${name}</h3>${table(rowsOf(schema))}`)}`;
  return pageOf({ title: API_REFERENCE.title, path: API_REFERENCE.path, groups, body });
}

interface Shown {
  readonly path: string;
  readonly method: string;
  readonly described: Described;
}

function operationPart(shown: Shown): Html {
  const { path, method, described } = shown;
  const { operationId, summary, tags, parameters = [], requestBody, responses } = described;
  return html`<section aria-labelledby="${operationId}">
<h3 id="${operationId}"><span class="method">${method}</span> <code>${path}</code><a class="anchor" href="#${operationId}" aria-label="Link to this operation">#</a></h3>
<p>${prose(summary)}.</p>
<p class="soft">${permissionOf(described)} Served by: ${tags.join(', ')}.</p>
${parameters.length === 0 ? NOTHING : html`<h4>Parameters</h4>${table(parameters.map(parameterRow))}`}
${requestBody === undefined ? NOTHING : html`<h4>Body${requestBody.required ? '' : ', if any'}</h4>${contentPart(requestBody.content)}`}
<h4>Answers</h4>
${Object.entries(responses).map(answerPart)}
<h4>Example</h4>
<pre tabindex="0"><code class="language-sh">${curlOf(shown)}</code></pre>
</section>
`;
}

function permissionOf({ 'x-lemma-permission': needs, security }: Described): Html {
  if (needs === undefined) return html`Needs no key.`;
  const open = security.some((one) => Object.keys(one).length === 0);
  const listener = open ? ' On the decision listener nobody is asked for a key.' : '';
  return needs === 'signed_in'
    ? html`Needs a key or a session, whatever it may do.${listener}`
    : html`Needs the permission <code>${needs}</code>.${listener}`;
}

function parameterRow({ name, required, description, schema, in: place }: Parameter): Row {
  const [row] = rowsOf(schema);
  const about = [description ?? '', row?.about ?? ''].filter((text) => text !== '').join('. ');
  return { name: place === 'query' ? `?${name}` : `{${name}}`, type: row?.type ?? '', required, about };
}

function answerPart([status, { description, content }]: [string, Described['responses'][string]]): Html {
  const refersToError = JSON.stringify(content ?? {}).includes('#/components/schemas/Error"');
  if (content === undefined || refersToError) return html`<p><strong>${status}</strong> ${description}</p>`;
  return html`<details><summary>${status} ${description}</summary>${contentPart(content)}</details>`;
}

function contentPart(content: Content): Html {
  const types = Object.keys(content).map((type) => html`<code>${type}</code> `);
  const [first] = Object.values(content);
  const rows = first === undefined ? [] : rowsOf(first.schema);
  const plain = rows.length === 1 && rows[0]?.name === '' && rows[0].about === '';
  return html`<p>${types}</p>${plain ? NOTHING : table(rows)}`;
}

function table(rows: readonly Row[]): Html {
  const lines = rows.map(
    ({ name, type, required, about }) =>
      html`<tr><td><code>${name === '' ? '(itself)' : name}</code>${required ? html` <span class="required">required</span>` : NOTHING}</td><td>${type}</td><td>${prose(about)}</td></tr>`,
  );
  return html`<div class="wide" tabindex="0" role="region" aria-label="Members"><table><thead><tr><th scope="col">Member</th><th scope="col">Type</th><th scope="col">About</th></tr></thead><tbody>${lines}</tbody></table></div>`;
}

/** A request that a person can fill in: what must be there, and nothing else. */
function curlOf({ path, method, described }: Shown): string {
  const { parameters = [], requestBody, tags, 'x-lemma-permission': needs } = described;
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => `<${name}>`);
  const query = parameters
    .filter((one) => one.in === 'query' && one.required)
    .map(({ name }) => `${name}=<${name}>`);
  const port = tags.includes('control') ? 8080 : 8181;
  const url = `http://127.0.0.1:${port}${filled}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  const schema = requestBody?.content['application/json']?.schema;
  const lines = [
    `curl -s${method === 'GET' ? '' : ` -X ${method}`} '${url}'`,
    ...(needs === undefined ? [] : ['-H "Authorization: Bearer $(cat .lemma/operator.key)"']),
    ...(schema === undefined || requestBody?.required === false
      ? []
      : [
          "-H 'content-type: application/json'",
          `-d '${JSON.stringify(exampleOf(schema)).replaceAll("'", "'\\''")}'`,
        ]),
  ];
  return lines.join(' \\\n  ');
}

function textIn(value: object, member: string): string {
  const text: unknown = Object.entries(value).find(([name]) => name === member)?.[1];
  return typeof text === 'string' ? text : '';
}
