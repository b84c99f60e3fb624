import assert from 'node:assert/strict';
import type { Permission, Role } from '../../src/schema/access.ts';
import { OPERATIONS, type Operation } from '../../src/server/operations.ts';
import { RUNTIME } from '../authority/support.ts';
import { join, person, type SignedIn, signIn } from './people.ts';
import { AUTH, controlWorld, DECISION_ID } from './support.ts';

type Column = Role | 'platform';

/** Said here a second time, on purpose: o owner, r operator, p policy author, a auditor, d the deployment's platform role. */
const MAY: Record<Permission, string> = {
  'runtimes.read': 'orpa',
  'runtimes.write': 'or',
  'runtimes.stop': 'or',
  'decisions.read': 'orpa',
  'decisions.export': 'ora',
  'policies.read': 'orpad',
  'policies.impact': 'op',
  'platform.policies': 'd',
  'platform.keys': 'd',
  'platform.backup': 'd',
  'platform.read': 'd',
  'platform.operators': 'd',
  'operators.read': 'oa',
  'operators.write': 'o',
  'api_keys.read': 'ora',
  'api_keys.write': 'or',
  'settings.write': 'o',
  'audit.read': 'oa',
  'monitor.read': 'ora',
  'tokens.introspect': 'or',
  'tokens.revoke': 'or',
  'nodes.connect': 'd',
  'nodes.read': 'd',
  'runtimes.approve': 'or',
  'settings.read': 'orpa',
  'subjects.assert': 'o',
};
const LETTERS: Record<Column, string> = {
  owner: 'o',
  operator: 'r',
  policy_author: 'p',
  auditor: 'a',
  platform: 'd',
};
/** The platform role comes beside another one, here the one that may least. */
const BESIDE: Role = 'policy_author';

const guarded = Object.entries<Operation>(OPERATIONS).filter(
  ([, { needs, on }]) => needs !== null && on.includes('control'),
);
const columns = Object.keys(LETTERS) as Column[];

function mayDo(column: Column, needs: Operation['needs']): boolean {
  if (needs === null || needs === 'signed_in') return true;
  const letters = column === 'platform' ? [LETTERS[BESIDE], LETTERS.platform] : [LETTERS[column]];
  return letters.some((letter) => MAY[needs].includes(letter));
}

function pathOf({ path }: Operation): string {
  return path.replaceAll(/\{\w+\}/g, 'bot-1');
}

describe('each role against each operation', () => {
  let control: Awaited<ReturnType<typeof controlWorld>>;
  const signedIn = new Map<Column, SignedIn>();

  before(async () => {
    control = await controlWorld();
    // What the guard lets through is answered here: what happens then is told by the tests of the operations.
    control.app.addHook('preHandler', async (request, reply) => {
      if (request.headers['x-guard-only'] !== undefined) await reply.code(204).send();
    });
    for (const column of columns) {
      const role = column === 'platform' ? BESIDE : column;
      await join(control.app, person(column), { role, platform: column === 'platform' });
      signedIn.set(column, await signIn(control.app, person(column)));
    }
  });
  after(() => control.close());

  for (const [id, operation] of guarded) {
    const { method } = operation;
    const ask = (headers: Record<string, string>) =>
      control.app.inject({
        method,
        url: pathOf(operation),
        headers: { ...headers, 'x-guard-only': 'yes' },
        ...(method === 'POST' && { payload: {} }),
      });

    for (const column of columns) {
      const allowed = mayDo(column, operation.needs);
      it(`${id}: ${column} ${allowed ? 'may' : 'may not'}`, async () => {
        const response = await ask(signedIn.get(column)?.writing ?? {});
        const code = response.statusCode === 204 ? null : response.json().error;
        assert.deepEqual([response.statusCode, code], allowed ? [204, null] : [403, 'forbidden']);
      });
    }
    it(`${id}: the owner's key may`, async () => assert.equal((await ask(AUTH)).statusCode, 204));
    it(`${id}: nobody may not`, async () => assert.equal((await ask({})).statusCode, 401));
  }
});

describe("another organisation's operator", () => {
  let control: Awaited<ReturnType<typeof controlWorld>>;
  let stranger: SignedIn;
  const there = { org: 'other', env: 'prod' };
  const ids = { operator: '', api_key: '', session: '' };

  before(async () => {
    control = await controlWorld();
    const post = async (url: string, payload: object) =>
      (await control.app.inject({ method: 'POST', url, headers: AUTH, payload })).json();
    await post('/api/wallet/runtimes/bootstrap', RUNTIME);
    ids.operator = (await join(control.app, person('alice'))).id;
    ids.session = (await signIn(control.app, person('alice'))).session;
    const { subject } = control.world.authority;
    const twin = { ...RUNTIME, runtime_id: 'twin', profile: 'low', subject, keys: null } as const;
    await post('/api/wallet/runtimes/bootstrap', { ...RUNTIME, runtime_id: 'twin' });
    control.world.authority.registerFromFile([{ ...twin, ...there }]);
    const proof = await post('/api/wallet/runtimes/issue-proof', issue('bot-1'));
    assert.equal(proof.success, true, JSON.stringify(proof));
    const made = await post('/api/wallet/api-keys', { name: 'ci', permissions: ['runtimes.read'] });
    ids.api_key = made.api_key.id;
    await join(control.app, person('stranger'), { ...there, role: 'owner' });
    stranger = await signIn(control.app, person('stranger'), there);
  });
  after(() => control.close());

  const ask = async (method: 'GET' | 'POST', url: string, payload?: object) => {
    const response = await control.app.inject({
      method,
      url,
      headers: stranger.writing,
      ...(payload && { payload }),
    });
    return { status: response.statusCode, body: { ...response.json(), request_id: '' } };
  };
  const runtimes = '/api/wallet/runtimes';
  const url = { method: 'GET', url: 'https://a.example/' };
  const key = Buffer.alloc(32, 9).toString('base64url');
  const audience = ['https://api.example.com'];
  const issue = (runtime_id: string) => ({ runtime_id, key, scope: [], audience });

  /** What is here, and what is nowhere. */
  const cases: readonly [
    string,
    () => readonly [method: 'GET' | 'POST', url: string, payload?: object],
    readonly ['GET' | 'POST', string, object?],
  ][] = [
    ['kill', () => ['POST', `${runtimes}/bot-1/kill`, {}], ['POST', `${runtimes}/none/kill`, {}]],
    [
      'revoke',
      () => ['POST', `${runtimes}/bot-1/revoke`, { key }],
      ['POST', `${runtimes}/none/revoke`, { key }],
    ],
    [
      'authorize',
      () => ['POST', `${runtimes}/bot-1/authorize`, url],
      ['POST', `${runtimes}/none/authorize`, url],
    ],
    [
      'issueProof',
      () => ['POST', `${runtimes}/issue-proof`, issue('bot-1')],
      ['POST', `${runtimes}/issue-proof`, issue('none')],
    ],
    [
      'approve',
      () => ['POST', `${runtimes}/bot-1/approve`, { taint_epoch: 0 }],
      ['POST', `${runtimes}/none/approve`, { taint_epoch: 0 }],
    ],
    [
      'issueProof for its own runtime of the same name',
      () => ['POST', `${runtimes}/issue-proof`, issue('twin')],
      ['POST', `${runtimes}/issue-proof`, issue('none')],
    ],
    [
      'explain',
      () => ['GET', `${runtimes}/decisions/${DECISION_ID}/explain`],
      ['GET', `${runtimes}/decisions/dec_${'B'.repeat(22)}/explain`],
    ],
    [
      'changeOperator',
      () => ['POST', `/api/wallet/operators/${ids.operator}`, { name: 'x' }],
      ['POST', `/api/wallet/operators/opr_${'A'.repeat(22)}`, { name: 'x' }],
    ],
    [
      "changeOperator of the deployment's owner",
      () => ['POST', '/api/wallet/operators/owner', { name: 'x' }],
      ['POST', `/api/wallet/operators/opr_${'A'.repeat(22)}`, { name: 'x' }],
    ],
    [
      'removeOperator',
      () => ['POST', `/api/wallet/operators/${ids.operator}/remove`],
      ['POST', `/api/wallet/operators/opr_${'A'.repeat(22)}/remove`],
    ],
    [
      'revokeApiKey',
      () => ['POST', `/api/wallet/api-keys/${ids.api_key}/revoke`],
      ['POST', `/api/wallet/api-keys/${key}/revoke`],
    ],
    [
      'revokeSession',
      () => ['POST', `/api/wallet/sessions/${ids.session}/revoke`],
      ['POST', `/api/wallet/sessions/ses_${'A'.repeat(22)}/revoke`],
    ],
  ];
  for (const [name, here, nowhere] of cases) {
    it(`cannot tell by ${name} what is here from what is nowhere`, async () => {
      const [found, missing] = [await ask(...here()), await ask(...nowhere)];
      assert.deepEqual([found.status, found], [404, missing]);
    });
  }

  for (const [path, member] of [
    [runtimes, 'runtimes'],
    ['/api/wallet/api-keys', 'api_keys'],
    ['/api/wallet/operators', 'operators'],
    ['/api/wallet/sessions', 'sessions'],
  ] as const) {
    it(`sees only its own of ${member}`, async () => {
      const shown = JSON.stringify((await ask('GET', path)).body[member]);
      const foreign = ['bot-1', ids.operator, ids.api_key, ids.session].filter((id) => shown.includes(id));
      assert.deepEqual(foreign, []);
    });
  }

  it('makes no join token, which would register a runtime here', async () => {
    const { status, body } = await ask('POST', `${runtimes}/join-tokens`, RUNTIME);
    assert.deepEqual([status, body.error], [404, 'not_found']);
  });

  it('registers nothing in an organisation that is not its own', async () => {
    assert.equal((await ask('POST', `${runtimes}/bootstrap`, { ...RUNTIME, org: 'acme' })).status, 404);
  });
});

describe("another env's owner", () => {
  let control: Awaited<ReturnType<typeof controlWorld>>;
  const staging = { org: 'acme', env: 'staging' };
  before(async () => {
    control = await controlWorld();
  });
  after(() => control.close());

  const put = async (name: string, over: object, level: string) => {
    await join(control.app, person(name), { ...staging, role: 'owner', ...over });
    const { writing } = await signIn(control.app, person(name), staging);
    const { statusCode } = await control.app.inject({
      method: 'PUT',
      url: `/api/wallet/settings/${level}`,
      headers: writing,
      payload: { settings: { default_ttl_s: 60 }, version: 0 },
    });
    return statusCode;
  };

  it("writes no settings that hold for the deployment's env too", async () => {
    assert.equal(await put('alone', {}, 'org'), 403);
  });
  it('writes those of its own env', async () => assert.equal(await put('own', {}, 'env'), 200));
  it('writes both with the platform role', async () => {
    assert.equal(await put('platform', { platform: true }, 'org'), 200);
  });
});
