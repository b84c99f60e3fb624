import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import { createMcpHandler, Server } from '@modelcontextprotocol/server';

/** A real MCP server over streamable HTTP, whose tool `read` says which Authorization it was asked with. */
export async function startRemote(): Promise<HttpServer> {
  const http = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const handler = createMcpHandler(() => {
      const server = new Server({ name: 'remote', version: '1' }, { capabilities: { tools: {} } });
      server.setRequestHandler('tools/list', () => ({
        tools: [{ name: 'read', inputSchema: { type: 'object' } }],
      }));
      server.setRequestHandler('tools/call', () => ({
        content: [{ type: 'text', text: request.headers.authorization ?? 'nobody' }],
      }));
      return server;
    });
    const answer = await handler.fetch(
      new Request(`http://localhost${request.url}`, {
        method: request.method ?? 'GET',
        headers: request.headers as Record<string, string>,
        ...(request.method === 'POST' ? { body: Buffer.concat(chunks) } : {}),
      }),
    );
    response.writeHead(answer.status, [...answer.headers].flat());
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return http;
}
