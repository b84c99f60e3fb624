import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { HOME } from '../authority/support.ts';
import { recordBody } from '../decision-log/fixture.ts';
import { DECISIONS, type FeedWorld, feedWorld } from './feed-support.ts';
import { AUTH } from './support.ts';

const EXPORT = `${DECISIONS}/export`;
const DENIED = { verdict: 'deny', reason: 'revoked' } as const;

interface Exported {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly next: string;
}

describe('exports of decisions', () => {
  let world: FeedWorld;
  beforeEach(async () => {
    world = await feedWorld();
  });
  afterEach(() => world.close());

  /** Over node:http: fetch shows no trailers. */
  async function exported(query = '', headers: Record<string, string> = {}): Promise<Exported> {
    const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      get(`${world.base}${EXPORT}${query}`, { headers: { ...AUTH, ...headers }, agent: false }, resolve).on(
        'error',
        reject,
      );
    });
    const body = await buffer(response);
    const next = response.trailers['lemma-next-cursor'] ?? '';
    return { status: response.statusCode ?? 0, headers: response.headers, body, next };
  }

  const linesOf = ({ body }: Exported) =>
    body
      .toString()
      .split('\n')
      .filter((line) => line !== '');
  const idsIn = (one: Exported) =>
    linesOf(one).flatMap((line) => {
      const { decision_id: id } = JSON.parse(line) as { decision_id?: string };
      return id === undefined ? [] : [id];
    });

  it('are cut off where a client takes nothing of them for long', async () => {
    await world.close();
    world = await feedWorld({ exportStallMs: 50 });
    await world.decide(1000, {
      request: { method: 'GET', host: 'api.example.com', path: `/${'x'.repeat(20_000)}` },
    });
    const [response] = (await once(
      get(`${world.base}${EXPORT}`, { headers: AUTH, agent: false }),
      'response',
    )) as [IncomingMessage];
    await world.exported;
    await assert.rejects(buffer(response), /aborted/);
  });

  it('are told where a later one goes on, and give each record once', async () => {
    const before = await world.decide(1200);
    const first = await exported();
    const after = await world.decide(3);
    const second = await exported(`?after=${first.next}`);
    const third = await exported(`?after=${second.next}`);
    assert.deepEqual([idsIn(first), idsIn(second), idsIn(third)], [before, after, []]);
  });

  it('with filters are by time, and go on with what was committed since, whatever its time', async () => {
    const [late = ''] = await world.decide(1, { ...DENIED, time: 2000 });
    await world.decide(600);
    const [early = ''] = await world.decide(1, { ...DENIED, time: 1000 });
    const first = await exported('?verdict=deny');
    const [older = ''] = await world.decide(1, { ...DENIED, time: 500 });
    await world.decide(1);
    const second = await exported(`?verdict=deny&after=${first.next}`);
    assert.deepEqual([idsIn(first), idsIn(second)], [[early, late], [older]]);
  });

  for (const filter of ['', '&runtime=bot-1'])
    it(`that broke off go on from a mark${filter}`, async () => {
      const all = await world.decide(1300);
      const lines = linesOf(await exported(`?marks=true${filter}`));
      const mark = lines.findIndex((line) => line.startsWith('{"next_cursor"'));
      const { next_cursor } = JSON.parse(lines[mark] ?? '') as { next_cursor: string };
      const had = lines
        .slice(0, mark)
        .map((line) => (JSON.parse(line) as { decision_id: string }).decision_id);
      assert.ok(mark > 0 && mark < 1300);
      const rest = await exported(`?after=${next_cursor}${filter}`);
      assert.deepEqual([...had, ...idsIn(rest)], all);
    });

  it('refuse a cursor of other filters, and what proven cannot give', async () => {
    await world.decide(1);
    const { next } = await exported();
    assert.equal((await exported(`?verdict=deny&after=${next}`)).status, 400);
    for (const query of ['proven=true&format=csv', 'proven=true&runtime=x', 'format=xml'])
      assert.equal((await exported(`?${query}`)).status, 400, query);
  });

  it('are gzip where it is accepted', async () => {
    await world.decide(600);
    const plain = await exported();
    const packed = await exported('', { 'accept-encoding': 'br;q=1, gzip;q=0.5' });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.deepEqual(gunzipSync(packed.body), plain.body);
    assert.equal(packed.next, plain.next);
    for (const accepted of ['identity', 'gzip;q=0', 'br'])
      assert.equal(
        (await exported('', { 'accept-encoding': accepted })).headers['content-encoding'],
        undefined,
      );
  });

  describe('as CSV', () => {
    const rowsOf = ({ body }: Exported) => parseCsv(body.toString());
    const column = (rows: string[][], name: string) =>
      rows.slice(1).map((row) => row[rows[0]?.indexOf(name) ?? -1]);

    it('have a header and a row each', async () => {
      const ids = await world.decide(3);
      const answer = await exported('?format=csv');
      assert.match(String(answer.headers['content-type']), /^text\/csv; charset=utf-8/);
      assert.deepEqual(column(rowsOf(answer), 'decision_id'), ids);
      assert.equal((await exported('?format=csv&runtime=nobody')).body.toString().split('\r\n').length, 2);
    });

    for (const start of ['=', '+', '-', '@', '\t', '\r', '\n', '\uff1d', '\uff0b', '\uff0d', '\uff20'])
      it(`defuse a cell that begins with ${JSON.stringify(start)}`, async () => {
        const path = `${start}cmd|'/C calc'!A0`;
        await world.decide(1, { request: { method: 'GET', host: 'h', path } });
        assert.deepEqual(column(rowsOf(await exported('?format=csv')), 'path'), [`'${path}`]);
      });

    it('keep commas, quotes and line ends within their cell', async () => {
      const path = '/a,"b"\r\nc,d';
      await world.decide(1, { request: { method: 'GET', host: 'h', path } });
      const rows = rowsOf(await exported('?format=csv'));
      assert.deepEqual(column(rows, 'path'), [path]);
      assert.equal(rows[1]?.length, rows[0]?.length);
    });

    it('say where they go on in a last column', async () => {
      await world.decide(2);
      const rows = rowsOf(await exported('?format=csv&marks=true'));
      const later = await world.decide(1);
      const [none, cursor] = column(rows, 'next_cursor');
      assert.equal(none, '');
      assert.deepEqual(idsIn(await exported(`?after=${cursor}`)), later);
    });
  });

  it("as OPA's decision log have its members", async () => {
    const [id] = await world.decide(1, {
      ...DENIED,
      reasons: ['revoked'],
      time: 1_790_000_000_123,
      trace_id: 'abc',
    });
    const [line = ''] = linesOf(await exported('?format=opa'));
    const { custom, ...event } = JSON.parse(line) as Record<string, unknown>;
    assert.deepEqual(event, {
      labels: { app: 'lemma', id: 'n1', version: '0.0.0', ...HOME },
      decision_id: id,
      trace_id: 'abc',
      bundles: { high: { revision: 'r1' } },
      path: 'lemma/high/decision',
      result: { allow: false, reason: 'revoked', reasons: ['revoked'] },
      timestamp: '2026-09-21T14:13:20.123Z',
      metrics: {
        timer_lemma_request_ns: 1000,
        timer_lemma_proof_ns: 2000,
        timer_lemma_gate_ns: 3000,
        timer_rego_query_eval_ns: 4000,
        timer_server_handler_ns: 15_000,
      },
    });
    assert.equal(
      (custom as { lemma: { runtime_id: string } }).lemma.runtime_id,
      recordBody().actor?.runtime_id,
    );
  });
});

/** RFC 4180, to the letter. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    rows.at(-1)?.push(quoted === undefined ? (plain ?? '') : quoted.replaceAll('""', '"'));
    if (end === '\r\n') rows.push([]);
    if (end === '') break;
  }
  return rows.filter((row) => row.length > 1);
}
