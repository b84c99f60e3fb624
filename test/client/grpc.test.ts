import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bearing, chain, header, keys, proving } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

const EXAMPLE = fileURLToPath(new URL('../../tools/clients/grpc/check.mjs', import.meta.url));

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body?: Uint8Array;
}
type Answer =
  | { readonly allowed: true; readonly set: [string, string][]; readonly remove: string[] }
  | { readonly allowed: false; readonly status: number; readonly body: string };
interface Checker {
  check(asked: Asked): Promise<Answer>;
  close(): void;
}

describe('the example of a gateway that asks over gRPC', () => {
  let service: Running;
  let checker: Checker;
  let address: string;
  before(async () => {
    service = await running();
    address = service.app.addresses.grpc[0] ?? '';
    const { createChecker } = (await import(EXAMPLE)) as { createChecker(address: string): Checker };
    checker = createChecker(address);
  });
  after(async () => {
    checker?.close();
    await service?.stop();
  });

  const url = 'https://api.example.com/v1/documents/42';

  it('is told what to set, and what to take off', async () => {
    const answer = await checker.check({ method: 'GET', url, headers: bearing(chain()).headers });
    assert.ok(answer.allowed);
    assert.equal(new Map(answer.set).get('x-lemma-runtime-id'), 'bot-1');
    assert.deepEqual(answer.remove, ['x-lemma-credential']);
  });

  it('sends the body that a PoP covers', async () => {
    const text = '{"a":1}';
    const { headers } = proving(chain(), keys.runtime, { method: 'PUT', text });
    const body = new TextEncoder().encode(text);
    assert.equal((await checker.check({ method: 'PUT', url, headers, body })).allowed, true);
  });

  it('is told what to answer', async () => {
    const answer = await checker.check({ method: 'GET', url, headers: [] });
    assert.ok(!answer.allowed);
    assert.deepEqual([answer.status, JSON.parse(answer.body).error], [401, 'auth_required']);
  });

  it('passes on a header that came twice, and a path as it came', async () => {
    const twice = [...bearing(chain()).headers, ...bearing(chain()).headers];
    const answers = [
      await checker.check({ method: 'GET', url, headers: twice }),
      await checker.check({ ...{ method: 'GET', headers: bearing(chain()).headers }, url: `${url}/../43` }),
    ];
    assert.deepEqual(
      answers.map((answer) => (answer.allowed ? 'allow' : JSON.parse(answer.body).error)),
      ['header_ambiguous', 'path_ambiguous'],
    );
  });

  it('lets nothing through when nobody answers', async () => {
    const { createChecker } = (await import(EXAMPLE)) as { createChecker(address: string): Checker };
    const nobody = createChecker('127.0.0.1:9');
    const answer = await nobody.check({ method: 'GET', url, headers: [] });
    nobody.close();
    assert.ok(!answer.allowed);
    assert.equal(answer.status, 503);
  });

  it('is a program too', async () => {
    const line = `x-lemma-credential: ${header(chain())}`;
    const { stdout } = await promisify(execFile)(process.execPath, [EXAMPLE, address, 'GET', url, line]);
    assert.equal(JSON.parse(stdout).allowed, true);
  });
});
