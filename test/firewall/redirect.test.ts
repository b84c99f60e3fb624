import { deepEqual, equal } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allowed, denied } from '../support/envoy.ts';
import { api, send, start, startUpstream, stopAll } from './support.ts';

/** What the agent gets of one header, where an upstream at `/v1` answers `/v1/a/b` with it. ORIGIN is the upstream's own. */
async function got(name: string, value: string): Promise<string | undefined> {
  const upstream = await startUpstream((_, response) => {
    response.writeHead(302, { [name]: value.replace('ORIGIN', upstream.url) }).end();
  });
  const { port } = await start([
    api({ base_url: `${upstream.url}/v1` }),
    api({ id: 'admin', base_url: `${upstream.url}/v1/admin` }),
    api({ id: 'twin', base_url: `${upstream.url}/v1` }),
    api({ id: 'other', base_url: 'https://other.example' }),
  ]);
  const { headers } = await send({ port, path: '/firewall/docs/a/b?c=d' });
  return String(headers[name]).replace(upstream.url, 'ORIGIN');
}

describe('firewall: a redirect', () => {
  afterEach(stopAll);

  for (const [value, expected] of [
    ['ORIGIN/v1/x?y=1#z', '/firewall/docs/x?y=1#z'],
    ['ORIGIN/v1', '/firewall/docs'],
    ['/v1/x', '/firewall/docs/x'],
    ['x', '/firewall/docs/a/x'],
    ['../x', '/firewall/docs/x'],
    ['?e=f', '/firewall/docs/a/b?e=f'],
    ['#z', '/firewall/docs/a/b?c=d#z'],
    ['', '/firewall/docs/a/b?c=d'],
    ['/v1/admin/x', '/firewall/admin/x'],
    ['https://other.example/x', '/firewall/other/x'],
    ['https://OTHER.example:443/x', '/firewall/other/x'],
    ['/v1/firewall/admin/x', '/firewall/docs/firewall/admin/x'],
    // Elsewhere: as it is, or whole where it is relative to the upstream and not to the firewall.
    ['https://evil.example/x', 'https://evil.example/x'],
    ['http://other.example/x', 'http://other.example/x'],
    ['https://other.example:8443/x', 'https://other.example:8443/x'],
    ['https://other.example.evil/x', 'https://other.example.evil/x'],
    ['https://user:key@other.example/x', 'https://user:key@other.example/x'],
    ['http://169.254.169.254/', 'http://169.254.169.254/'],
    ['/v2/x', 'ORIGIN/v2/x'],
    ['/v1x', 'ORIGIN/v1x'],
    ['../../x', 'ORIGIN/x'],
    ['//evil.example/x', 'http://evil.example/x'],
    ['mailto:a@b.example', 'mailto:a@b.example'],
    ['http://[', 'http://['],
  ] as const) {
    it(`to "${value}" is "${expected}"`, async () => equal(await got('location', value), expected));
  }

  it('of a created or another representation is, too', async () =>
    equal(await got('content-location', 'ORIGIN/v1/x'), '/firewall/docs/x'));

  for (const [value, expected] of [
    ['5', '5'],
    ['0; url=ORIGIN/v1/x', '0; url=/firewall/docs/x'],
    ["0;URL='ORIGIN/v1/x'", "0;URL='/firewall/docs/x'"],
    ['3, "/v1/admin/x"', '3, "/firewall/admin/x"'],
    ['0; url=https://evil.example/', '0; url=https://evil.example/'],
  ] as const) {
    it(`by Refresh "${value}" is "${expected}"`, async () => equal(await got('refresh', value), expected));
  }

  const folder = mkdtempSync(join(tmpdir(), 'lemma-firewall-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Two apis with a key each; the first's `/go` redirects to the second's upstream, `/home` back to itself. */
  async function two() {
    const inject = (id: string) => {
      const value_file = join(folder, id);
      writeFileSync(value_file, `Bearer of-${id}`, { mode: 0o600 });
      return { header: 'authorization', value_file };
    };
    const second = await startUpstream();
    const first = await startUpstream((request, response) => {
      const to = { '/go': `${second.url}/there`, '/home': '/end' }[request.url ?? ''];
      if (to === undefined) response.end(request.headers.authorization);
      else response.writeHead(307, { location: to }).end();
    });
    const apis = [
      api({ id: 'first', base_url: first.url, inject: inject('first') }),
      api({ id: 'second', base_url: second.url, inject: inject('second') }),
    ];
    return { apis, second };
  }

  it('is followed by a client through the firewall, and decided on again', async () => {
    const { apis } = await two();
    const { port, decided } = await start(apis);
    const answer = await fetch(`http://127.0.0.1:${port}/firewall/first/home`);
    deepEqual(
      [answer.status, await answer.text(), decided.map(({ target }) => target)],
      [200, 'Bearer of-first', ['/home', '/end']],
    );
  });

  it("takes no key along: the second api's upstream gets the second's", async () => {
    const { apis, second } = await two();
    const { port } = await start(apis);
    await fetch(`http://127.0.0.1:${port}/firewall/first/go`, {
      headers: { 'x-lemma-credential': 'secret' },
    });
    const { url, headers } = second.seen[0] ?? {};
    deepEqual(
      [url, headers?.authorization, headers?.['x-lemma-credential']],
      ['/there', 'Bearer of-second', undefined],
    );
  });

  it('ends where the second decision is a denial', async () => {
    const { apis, second } = await two();
    const { port } = await start(apis, {
      decide: ({ target }) => (target === '/there' ? denied('scope_denied') : allowed()),
    });
    const answer = await fetch(`http://127.0.0.1:${port}/firewall/first/go`);
    deepEqual([answer.status, second.seen], [403, []]);
  });
});
