import type { FastifyInstance } from 'fastify';
import { notFound } from '../authority/refusal.ts';
import { type Docs, groupsOf, readDocs, renderDocs } from './docs-pages.ts';
import { type Page, sendPage } from './html-page.ts';
import { once } from './once.ts';
import type { OpenApi } from './openapi.ts';
import { openApiPage } from './openapi-page.ts';
import { OPERATIONS, routePath } from './operations.ts';

/** `/docs`, its pages, and `/openapi.json` with the page that shows it. Made when somebody asks for the first time. */
export function addDocs(app: FastifyInstance, description: OpenApi): void {
  const sources = once(readDocs);
  const docs = once(async (): Promise<Docs> => renderDocs(await sources()));
  const reference = once(async (): Promise<Page> => openApiPage(description, groupsOf(await sources())));

  app.get(OPERATIONS.openapi.path, async () => description);
  app.get(OPERATIONS.openapiPage.path, async (request, reply) => sendPage(await reference(), request, reply));
  app.get(OPERATIONS.docs.path, async (request, reply) => sendPage((await docs()).index, request, reply));
  app.get(routePath(OPERATIONS.docsPage), async (request, reply) => {
    const { page } = request.params as { readonly page: string };
    const found = (await docs()).pages.get(page);
    if (found === undefined) throw notFound('page');
    return sendPage(found, request, reply);
  });
}
