import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';

/**
 * A receiver of decision logs as a process of its own: `receiver.ts <folder> <port>`. It writes what it acknowledges to
 * `<folder>/got` (a line `decision_id bytes-of-upload erased`) and each request to `<folder>/asked`. `<folder>/mode`, read for
 * each request, says how it answers: `ok`, a status, `hang`, `limit <bytes>` (413 above so many, compressed), or `drop`
 * (acknowledged by nothing: it takes the events and cuts the connection).
 */
const [folder = '', port = '0'] = process.argv.slice(2);

const server = createServer(async (request, response) => {
  const body = await buffer(request).catch(() => null);
  if (body === null) return;
  const mode = existsSync(`${folder}/mode`) ? readFileSync(`${folder}/mode`, 'utf8').trim() : 'ok';
  const { url, method, headers } = request;
  const about = [method, url, headers['content-encoding'], headers.authorization ?? '-', mode];
  appendFileSync(`${folder}/asked`, `${about.join('|')}\n`);
  if (mode === 'hang') return;
  const [kind, bytes] = mode.split(' ');
  if (kind === 'limit' && body.length > Number(bytes)) {
    response.writeHead(413).end();
    return;
  }
  if (/^\d{3}$/.test(mode)) {
    response.writeHead(Number(mode), { 'retry-after': '0' }).end('not now');
    return;
  }
  const events = JSON.parse(gunzipSync(body).toString()) as { decision_id: string; erased?: string[] }[];
  for (const { decision_id, erased = [] } of events)
    appendFileSync(`${folder}/got`, `${decision_id} ${body.length} ${erased.join(',')}\n`);
  if (mode === 'drop') request.socket.destroy();
  else response.writeHead(200).end('{}');
});
server.listen(Number(port), '127.0.0.1', () => {
  const bound = server.address();
  console.log(typeof bound === 'object' ? bound?.port : '');
});
