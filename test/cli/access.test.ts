import assert from 'node:assert/strict';
import { person } from '../server/people.ts';
import { type Serving, serving } from '../support/serving.ts';
import { emptyFolder, lemma } from './lemma.ts';

describe('the commands about who may call', () => {
  let folder: ReturnType<typeof emptyFolder>;
  let service: Serving;
  before(async () => {
    folder = emptyFolder();
    service = await serving(folder.path);
  });
  after(async () => {
    await service.end('SIGTERM');
    folder.remove();
  });

  const run = (args: readonly string[], env: Record<string, string> = {}) =>
    lemma(folder.path, [...args, '--api-base', service.controlBase], env);
  const json = async (...args: string[]) => JSON.parse((await run([...args, '--json'])).out).data;

  it('make an operator, show who there is, and remove one', async () => {
    const { subject, key } = person('alice');
    const more = ['--key', key, '--role', 'auditor', '--name', 'Alice'];
    const { operator } = await json('operators', 'add', subject, ...more);
    const before = (await run(['operators', 'list'])).out;
    await run(['operators', 'remove', operator.id]);
    const after = (await run(['operators', 'list'])).out;
    assert.match(before, new RegExp(`^${operator.id}\tauditor\tfalse\tAlice\t${subject}$`, 'm'));
    assert.deepEqual(
      after.split('\n').map((line) => line.split('\t')[0]),
      ['owner', ''],
    );
  });

  it('make a key that opens what it was made for, until it is revoked', async () => {
    const made = await run(['api-keys', 'create', 'ci', '--permission', 'platform.read', '--days', '1']);
    const key = { LEMMA_OPERATOR_KEY: made.out.trim() };
    const [listed] = (await json('api-keys', 'list')).api_keys;
    const codes = [
      (await run(['keys', 'list'], key)).code,
      (await run(['kill', 'bot-1'], key)).code,
      (await run(['api-keys', 'revoke', listed.id])).code,
      (await run(['keys', 'list'], key)).code,
    ];
    assert.match(made.out, /^lm_ak_[\w-]{51}\n$/);
    assert.deepEqual(codes, [0, 1, 0, 1]);
  });

  it('say what a role may be', async () => {
    const { subject, key } = person('bob');
    const { code, err } = await run([
      'operators',
      'add',
      subject,
      '--key',
      key,
      '--role',
      'king',
      '--name',
      'B',
    ]);
    assert.deepEqual(
      [code, err],
      [2, 'error: --role must be one of owner, operator, policy_author, auditor\n'],
    );
  });
});
