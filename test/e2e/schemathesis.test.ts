import { equal, ok } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installFolder } from '../../tools/proxy/pypi.ts';
import { type Serving, serving } from '../support/serving.ts';

const SCHEMATHESIS = { name: 'schemathesis', requirement: 'schemathesis==4.32.5' } as const;
/** Streams have no end; a proxy's question is no API of JSON; the rest of the decision listener has other tests. */
const LEFT_OUT = '/events$|/stream$|forward-auth';
/** Python's expressions know no classes of Unicode: what is generated for them is plain text. */
const UNICODE_CLASSES = /\[\^(?:\\p\{\w+\})+\]/g;

/** Requests made of the API's own description, right ones and wrong ones: no 500, and no answer that it does not declare. */
describe('the control API, as schemathesis asks it', function () {
  this.timeout(600_000);
  let folder: string;
  let modules: string;
  let service: Serving;

  before(async function () {
    try {
      modules = await installFolder(SCHEMATHESIS, { dependencies: true });
    } catch (error) {
      if (process.env.CI) throw error;
      console.warn(`    skipped: ${error instanceof Error ? error.message : error}`);
      return this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), 'lemma-schemathesis-'));
    service = await serving(folder);
  });
  after(async () => {
    await service?.end('SIGTERM');
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('answers as it says', async () => {
    const description = await (await fetch(`${service.controlBase}/openapi.json`)).json();
    const plain = JSON.stringify(description, (key, value: unknown) =>
      key === 'pattern' && typeof value === 'string' ? value.replaceAll(UNICODE_CLASSES, '[ -~]') : value,
    );
    const file = join(folder, 'openapi.json');
    writeFileSync(file, plain);
    const checks =
      'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance';
    const args = [
      ...['-m', 'schemathesis.cli', 'run', file, '--url', service.controlBase],
      ...['--header', `Authorization: Bearer ${service.operatorKey}`, '--checks', checks],
      ...['--exclude-path-regex', LEFT_OUT, '--exclude-tag', 'decision', '--phases', 'coverage,fuzzing'],
      ...['--max-examples', '10', '--seed', '1', '--continue-on-failure', '--warnings', 'off', '--no-color'],
    ];
    const { code, said } = await python(args, { PYTHONPATH: modules, PATH: process.env.PATH ?? '' }, folder);
    const cases = Number(/(\d+) generated/.exec(said)?.[1]);
    ok(cases > 500, said);
    equal(code, 0, said);
  });
});

function python(args: readonly string[], env: Record<string, string>, cwd: string) {
  return new Promise<{ code: number; said: string }>((resolve) => {
    execFile('python3', args, { env, cwd, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), said: stdout + stderr }),
    );
  });
}
