import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as turn } from 'node:timers/promises';
import { type Compiler, openCompiler } from '../../../src/policy/compiler/compiler.ts';
import { errorOf, files, PATIENT_MS, resultOf, wasmBuilt } from './support.ts';

/** What a process has used (Linux: proc_pid_stat(5), utime and stime, in hundredths of a second). */
function processorMs(pid: number): number {
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user = 0, system = 0] = fields.split(' ').slice(11, 13).map(Number);
  return (user + system) * 10;
}

const NONE = files({ 'a.rego': 'package a\n' });
const ENDLESS = `count([1 |
	some a in numbers.range(1, 100000)
	some b in numbers.range(1, 100000)
	a + b < 0
])`;

describe('a call of the compiler that goes wrong', function () {
  this.timeout(PATIENT_MS);
  let compiler: Compiler;

  before(async function () {
    if (!wasmBuilt()) return this.skip();
    compiler = await openCompiler({ engine: 'wasm', timeLimitMs: PATIENT_MS });
    resultOf(await compiler.fmt({ files: NONE }));
  });

  after(() => compiler?.close());

  const endless = () => compiler.eval({ files: NONE, query: ENDLESS, timeLimitMs: 1000 });
  const answers = async () =>
    assert.equal(resultOf(await compiler.eval({ files: NONE, query: '1 + 1' })).value, 2);

  it('is ended when it takes too long, and says so', async () => {
    const { code, message } = errorOf(await endless());
    assert.deepEqual(
      [code, message.split(':')[0]],
      ['time_limit', 'evaluation did not end within 1 s of processor time'],
    );
  });

  it('does not hold up this process meanwhile', async () => {
    let turns = 0;
    const ticking = setInterval(() => turns++, 10);
    await endless();
    clearInterval(ticking);
    assert.ok(turns > 20, `${turns} turns of the loop in a second`);
  });

  it('leaves a compiler that answers after a time-out', async () => {
    await endless();
    await answers();
  });

  it('ends a test that takes too long', async () => {
    const text = `package a_test\n\ntest_a if ${ENDLESS} > 0\n`;
    const answer = await compiler.test({ files: files({ 'a_test.rego': text }), timeLimitMs: 1000 });
    assert.match(errorOf(answer).message, /^the tests did not end within 1 s of processor time/);
  });

  it('is not charged for the time in which the machine gives it none', async function () {
    const children = `/proc/self/task/${process.pid}/children`;
    if (!existsSync(children)) this.skip();
    const pids = readFileSync(children, 'utf8').trim().split(' ');
    const hosts = pids.filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/compiler/host'),
    );
    const host = Number(hosts.at(-1));
    const before = processorMs(host);
    const asked = endless();
    while (processorMs(host) < before + 100) await turn(10);
    process.kill(host, 'SIGSTOP');
    await turn(1500); // More than its whole limit.
    process.kill(host, 'SIGCONT');
    assert.equal(errorOf(await asked).code, 'time_limit');
    const used = processorMs(host) - before;
    assert.ok(used >= 900, `ended after ${used} ms of processor time`);
  });

  it('is ended when it takes too much memory', async () => {
    const query = 'count(numbers.range(1, 20000000))';
    const { code, message } = errorOf(await compiler.eval({ files: NONE, query }));
    assert.deepEqual(
      [code, message],
      ['compiler_failed', 'evaluation broke off: it needed more than 512 MB of memory'],
    );
  });

  it('leaves a compiler that answers after its memory was not enough', answers);

  it('takes policies that are nested deeply', async () => {
    const text = `package a\n\nx := ${'('.repeat(1000)}1${')'.repeat(1000)}\n`;
    const nested = resultOf(await compiler.eval({ files: files({ 'a.rego': text }), query: 'data.a.x' }));
    assert.equal(nested.value, 1);
  });

  it('takes input that is nested deeply', async () => {
    const input = `${'['.repeat(5000)}${']'.repeat(5000)}`;
    assert.equal(resultOf(await compiler.eval({ files: NONE, query: 'count(input)', input })).value, 1);
  });

  it('answers an answer to each of many calls at once', async () => {
    const values = await Promise.all(
      [1, 2, 3].map(async (n) => resultOf(await compiler.eval({ files: NONE, query: `${n} * 2` })).value),
    );
    assert.deepEqual(values, [2, 4, 6]);
  });

  it('is answered when the compiler is closed under it', async () => {
    const closing = await openCompiler({ engine: 'wasm', timeLimitMs: PATIENT_MS });
    const answer = closing.eval({ files: NONE, query: ENDLESS });
    await closing.close();
    assert.equal(errorOf(await answer).code, 'compiler_failed');
  });
});
