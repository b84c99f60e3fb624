import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Call } from '../../src/cli/command.ts';
import { testLines } from '../../src/cli/demo.ts';
import { servedConfig, serving } from '../support/serving.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the real command, with a temporary folder of its own, to its end. */
function demo(folder: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [main, 'demo', ...args],
      { cwd: folder, env: { ...process.env, ...env, TMPDIR: folder, TEMP: folder } },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

describe('lemma demo', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-demo-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  describe('--json', () => {
    let ran: Ran;
    let answer: { ok: boolean; error_code: unknown; schema_version: number; command: string; data: Data };
    interface Data {
      readonly tests: readonly {
        id: string;
        ok: boolean;
        status: number;
        reason: string;
        decision_id: string;
      }[];
      readonly passed: number;
      readonly total: number;
      readonly took_ms: number;
      readonly explain: {
        readonly decision_id: string;
        readonly rules: readonly { file: string; line: number; rego: string }[];
        readonly evaluated_again: { equal: boolean };
      };
    }

    before(async () => {
      ran = await demo(folder, ['--json'], {
        LEMMA_OPERATOR_KEY: 'not-for-the-demo',
        LEMMA_BASE_URL: 'http://127.0.0.1:1',
      });
      answer = JSON.parse(ran.out);
    });

    it('ends with 0 and the envelope of every command', () => {
      const { ok: fine, error_code, schema_version, command } = answer;
      deepEqual([ran.code, fine, error_code, schema_version, command], [0, true, null, 1, 'demo']);
    });

    it('has the six tests in order, each with its answer', () => {
      deepEqual(
        answer.data.tests.map(({ id, ok: fine, status, reason }) => [id, fine, status, reason]),
        [
          ['allowed', true, 200, 'allowed'],
          ['wrong_path', true, 403, 'route_unknown'],
          ['wrong_method', true, 403, 'method_not_allowed'],
          ['stale_taint', true, 403, 'taint_stale'],
          ['recovery', true, 200, 'allowed'],
          ['revocation', true, 403, 'revoked'],
        ],
      );
    });

    it('counts them', () => {
      deepEqual([answer.data.passed, answer.data.total], [6, 6]);
    });

    it('takes less than 30 seconds', () => ok(answer.data.took_ms < 30_000));

    it('explains the stale epoch with the rule of the policy, and evaluates it again', () => {
      const { explain, tests } = answer.data;
      equal(explain.decision_id, tests[3]?.decision_id);
      match(explain.rules[0]?.rego ?? '', /taint_stale/);
      equal(explain.evaluated_again.equal, true);
    });

    it('leaves nothing behind', () => deepEqual(readdirSync(folder), []));
  });

  it('is plain text in a pipe: a line for each test, the score, and why', async () => {
    const { code, out, err } = await demo(folder, []);
    equal(code, 0, err);
    equal(out.split('\n').filter((line) => line.startsWith('ok ')).length, 6);
    match(out, /^6\/6 in \d+\.\d s$/m);
    match(out, /decision\.rego:\d+/);
    match(out, /evaluated again: equal/);
    ok(!out.includes('\x1b'));
  });

  describe('with --api-base', () => {
    const place = 'http://127.0.0.1:8788';
    const route = (id: string, methods: string[], scope: string, risk: string) => ({
      ...{ id: `demo.${id}`, host: '127.0.0.1', path: `/${id}/**`, methods, api: 'demo' },
      ...{ action: scope, scope: [scope], audience: place, risk },
    });
    const routes = [
      route('notes', ['GET', 'POST'], 'notes.use', 'high'),
      route('web', ['GET'], 'web.read', 'low'),
    ];

    /** The demo against a `lemma serve` with these routes, with its owner's key. */
    async function against(config: object, key?: string) {
      const plane = mkdtempSync(join(tmpdir(), 'lemma-demo-plane-'));
      writeFileSync(join(plane, 'lemma.yaml'), JSON.stringify({ ...servedConfig(), ...config }));
      const service = await serving(plane);
      try {
        const env = { LEMMA_OPERATOR_KEY: key ?? service.operatorKey };
        const ran = await demo(folder, ['--json', '--api-base', service.controlBase], env);
        const { body } = await service.control('/api/wallet/runtimes');
        const runtimes = body.runtimes as { runtime_id: string; status: string }[];
        return { ...ran, answer: JSON.parse(ran.out), runtimes, routes: await service.exported() };
      } finally {
        await service.end('SIGTERM');
        rmSync(plane, { recursive: true, force: true });
      }
    }

    it('passes the six against a control plane, and leaves its runtime killed there', async () => {
      const { code, out, answer, runtimes, routes: log } = await against({ routes });
      deepEqual([code, answer.data.passed], [0, 6], out);
      deepEqual(
        runtimes.map(({ status }) => status),
        ['killed'],
      );
      ok(log.some((line) => line.includes(answer.data.explain.decision_id)));
    }).timeout(60_000);

    it('says which routes are missing where the control plane issues nothing for it', async () => {
      const { code, answer } = await against({});
      deepEqual([code, answer.error_code], [1, 'demo_unprepared']);
      match(answer.data.message, /demo\.notes.*audience: "http:\/\/127\.0\.0\.1:8788"/);
    }).timeout(60_000);

    it('says who it is not allowed by', async () => {
      const { code, answer } = await against({ routes }, 'lm_op_wrong');
      deepEqual([code, answer.error_code], [1, 'auth_required']);
    }).timeout(60_000);
  });

  it('is laid out for a terminal where somebody looks on', () => {
    const plain = (_: unknown, text: string) => text;
    const outcome = {
      ...{ id: 'revocation', name: 'revocation denied', ok: true, request: 'POST /firewall/notes/documents' },
      ...{
        expected: 'revoked',
        status: 403,
        reason: 'revoked',
        decision_id: 'dec_1',
        why: 'lem_1 was revoked',
      },
    };
    const lines = (interactive: boolean) =>
      testLines({ terminal: { style: plain, interactive } } as unknown as Call, outcome, 6);
    deepEqual(
      [lines(false).length, lines(true).map((line) => line.trimEnd())],
      [
        1,
        [
          '✔ 6 revocation denied           403 revoked',
          '    POST /firewall/notes/documents',
          '    lem_1 was revoked',
        ],
      ],
    );
  });
});
