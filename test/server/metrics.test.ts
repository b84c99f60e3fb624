import assert from 'node:assert/strict';
import type { RecordBody } from '../../src/schema/decision.ts';
import { serverLogger } from '../../src/server/logging.ts';
import { decision, memoryLog, metrics } from './support.ts';

const record = (over: Partial<RecordBody> = {}) =>
  ({
    verdict: 'deny',
    reason: 'scope_denied',
    border: 'grpc',
    profile: 'high',
    amends: false,
    took_us: { request: 10, proof: 200, gate: 5, policy: 0, log: 0 },
    ...over,
  }) as RecordBody;

async function exposed(use: (all: ReturnType<typeof metrics>) => unknown): Promise<string> {
  const all = metrics();
  await use(all);
  return (await all.expose()).text;
}

describe('metrics', () => {
  it('count decisions by verdict, reason, border and profile', async () => {
    const text = await exposed((all) => {
      all.recorded(record());
      all.recorded(record());
      all.recorded(record({ profile: null }));
    });
    assert.match(
      text,
      /lemma_decisions_total\{verdict="deny",reason="scope_denied",border="grpc",profile="high"\} 2/,
    );
    assert.match(text, /profile="none"\} 1/);
  });

  it('count a decision that was amended once', async () => {
    const text = await exposed((all) => {
      all.recorded(record({ verdict: 'allow', reason: 'allowed' }));
      all.recorded(record({ reason: 'runtime_killed', amends: true }));
    });
    assert.equal(text.match(/^lemma_decisions_total\{/gm)?.length, 1);
    assert.match(text, /lemma_decisions_amended_total\{reason="runtime_killed"\} 1/);
  });

  it('count all requests that a record stands for', async () => {
    const text = await exposed((all) => all.recorded(record({ reason: 'overloaded', requests: 41 })));
    assert.match(text, /lemma_decisions_total\{[^}]*reason="overloaded"[^}]*\} 41/);
  });

  it('time the stages, in seconds', async () => {
    const text = await exposed((all) => all.recorded(record()));
    assert.match(text, /lemma_stage_duration_seconds_sum\{stage="proof"\} 0\.0002/);
  });

  it('time decisions by border', async () => {
    const text = await exposed((all) => all.timed(async () => decision())({ border: 'rest' } as never));
    assert.match(text, /lemma_decision_duration_seconds_count\{border="rest"\} 1/);
  });

  it('show what is kept elsewhere, the same at each scrape', async () => {
    const text = await exposed((all) => all.expose());
    for (const line of [
      'lemma_log_queue 1',
      'lemma_log_lost_total 2',
      'lemma_log_written_total 3',
      'lemma_gate_runtimes 4',
      'lemma_decisions_running 6',
      'lemma_decisions_queued 7',
      'lemma_abandoned_total 8',
      'lemma_shed_total{reason="overloaded"} 9',
      'lemma_shed_total{reason="rate_limited"} 10',
      'lemma_gate_nonces 5',
      'lemma_gate_ready 1',
      'lemma_store_writable 1',
      'lemma_bundle_info{name="low",revision="r1",sha256="ab"} 1',
    ]) {
      assert.ok(text.split('\n').includes(line), line);
    }
  });
});

describe('the servers’ log', () => {
  it('has no secret, wherever it is put', () => {
    const { log, lines } = memoryLog();
    const headers = {
      authorization: 'SECRET',
      cookie: 'SECRET',
      'x-lemma-credential': 'SECRET',
      'x-lemma-pop': 'SECRET',
    };
    serverLogger(log).info(
      { ...headers, body: 'SECRET', headers, request: { headers, body: 'SECRET' } },
      'careless',
    );
    serverLogger(log).info({ req: { method: 'GET', url: '/?token=SECRET', headers, ip: '::1' } }, 'careless');
    assert.equal(lines().length, 2);
    assert.equal(lines().join('').includes('SECRET'), false);
  });
});
