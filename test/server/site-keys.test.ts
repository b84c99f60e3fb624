import assert from 'node:assert/strict';
import { type KeyChange, signKeyChange } from '../../src/proof/key-change.ts';
import { signSignIn } from '../../src/proof/sign-in.ts';
import { askToSignIn, BROWSER, join, ORIGIN, type Person, person, type SignedIn, signIn } from './people.ts';
import { AUTH, type controlWorld, timedWorld } from './support.ts';

const SESSION = '/api/wallet/session';
const KEYS = `${SESSION}/keys`;

describe("an operator's own keys for a site", () => {
  let control: Awaited<ReturnType<typeof controlWorld>>;
  let time: { now: number };
  let session: SignedIn;
  const alice = person('alice');
  const next = person('alice', 'localhost', 1);
  const third = person('alice', 'localhost', 2);
  beforeEach(async () => {
    ({ control, time } = await timedWorld());
    await join(control.app, alice, { role: 'auditor' });
    session = await signIn(control.app, alice);
  });
  afterEach(() => control.close());

  const post = (url: string, headers: object, payload: object = {}) =>
    control.app.inject({ method: 'POST', url, headers: { ...headers }, payload });
  const known = async (headers = session.reading) =>
    (await control.app.inject({ url: KEYS, headers })).json().keys as string[];

  interface Wish {
    readonly by?: Person;
    readonly to?: Person;
    readonly ends?: readonly Person[];
    /** What is signed, where it is not what is sent. */
    readonly signed?: Partial<KeyChange>;
    readonly sent?: object;
    readonly headers?: Record<string, string>;
  }

  async function change({
    by = alice,
    to = next,
    ends = [],
    signed = {},
    sent = {},
    headers = session.writing,
  }: Wish) {
    const given = (await post(`${SESSION}/challenge`, BROWSER)).json();
    const { challenge, expires_at, org, env } = given;
    const body = { key: by.key, next: to.key, ends: ends.map(({ key }) => key), challenge };
    const statement = { origin: ORIGIN, org, env, subject: alice.subject, expires_at, ...body, ...signed };
    const signature = signKeyChange(statement, by.seed);
    const next_signature = signKeyChange(statement, to.seed);
    return post(KEYS, headers, { ...body, signature, next_signature, ...sent });
  }

  it('get another beside the first: both sign in', async () => {
    const response = await change({});
    assert.deepEqual([response.statusCode, response.json().keys], [200, [next.key, alice.key]]);
    for (const who of [alice, next]) assert.equal((await askToSignIn(control.app, who)).statusCode, 200);
  });

  it('are replaced: the old one signs in no more, and what it opened is closed', async () => {
    assert.equal((await change({ ends: [alice] })).statusCode, 200);
    assert.equal((await askToSignIn(control.app, alice)).statusCode, 401);
    assert.equal((await control.app.inject({ url: KEYS, headers: session.reading })).statusCode, 401);
    const after = await signIn(control.app, next);
    assert.deepEqual(await known(after.reading), [next.key]);
  });

  it('leave role and name as they are', async () => {
    await change({ ends: [alice] });
    const { operators } = (await control.app.inject({ url: '/api/wallet/operators', headers: AUTH })).json();
    const found = operators.find(({ subject }: { subject: string }) => subject === alice.subject);
    assert.deepEqual([found.role, found.name, found.keys], ['auditor', 'somebody', [next.key]]);
  });

  it('end later, by the key that came', async () => {
    await change({});
    const ended = await change({ by: next, to: next, ends: [alice] });
    assert.deepEqual([ended.statusCode, ended.json().keys], [200, [next.key]]);
  });

  it('are in the audit trail', async () => {
    await change({});
    const { entries } = (await control.app.inject({ url: '/api/wallet/audit', headers: AUTH })).json();
    assert.ok(
      entries.some(
        ({ what, outcome }: { what: string; outcome: string }) =>
          what === 'changeOwnKeys' && outcome === 'done',
      ),
    );
  });

  const REFUSED: readonly (readonly [what: string, wish: Wish, status: number])[] = [
    ['a key that is not his now', { by: third }, 401],
    ['a signature for another next key', { signed: { next: third.key } }, 401],
    ['a signature that ends another key', { signed: { ends: [alice.key] } }, 401],
    ['a signature for another site', { signed: { origin: 'https://evil.example' } }, 401],
    ["a signature in another's name", { signed: { subject: person('bob').subject } }, 401],
    ['a next key that cannot sign', { sent: { next_signature: 'A'.repeat(86) } }, 401],
    ['a session alone', { sent: { signature: 'A'.repeat(86) } }, 401],
    ['the end of the key that is to come', { ends: [next] }, 400],
  ];
  for (const [what, wish, status] of REFUSED) {
    it(`are not changed by ${what}`, async () => {
      const response = await change(wish);
      assert.equal(response.statusCode, status, response.body);
      assert.deepEqual(await known(), [alice.key]);
    });
  }

  it('are not changed by a page that has no CSRF token', async () => {
    assert.equal((await change({ headers: session.reading })).statusCode, 403);
    assert.deepEqual(await known(), [alice.key]);
  });

  it('are not changed by the signature of a sign-in', async () => {
    const { challenge, expires_at, org, env } = (await post(`${SESSION}/challenge`, BROWSER)).json();
    const about = { origin: ORIGIN, org, env, subject: alice.subject, key: alice.key, challenge, expires_at };
    const signature = signSignIn(about, alice.seed);
    const body = { key: alice.key, next: alice.key, ends: [], challenge };
    const response = await post(KEYS, session.writing, { ...body, signature, next_signature: signature });
    assert.equal(response.statusCode, 401);
  });

  it('are changed once by each challenge, and not after it expired', async () => {
    const { challenge, expires_at, org, env } = (await post(`${SESSION}/challenge`, BROWSER)).json();
    const send = (to: Person) => {
      const body = { key: alice.key, next: to.key, ends: [], challenge };
      const statement = { origin: ORIGIN, org, env, subject: alice.subject, expires_at, ...body };
      const signature = signKeyChange(statement, alice.seed);
      return post(KEYS, session.writing, {
        ...body,
        signature,
        next_signature: signKeyChange(statement, to.seed),
      });
    };
    assert.equal((await send(next)).statusCode, 200);
    assert.equal((await send(third)).statusCode, 401);
    time.now += 121_000;
    assert.equal((await send(third)).statusCode, 401);
  });

  it("are never another operator's", async () => {
    await join(control.app, person('bob'));
    const bob = person('bob');
    const response = await change({ to: bob });
    assert.deepEqual([response.statusCode, response.json().error], [409, 'conflict']);
  });

  it('are 8 at most', async () => {
    for (let n = 1; n < 8; n += 1)
      assert.equal((await change({ to: person('alice', 'localhost', n) })).statusCode, 200);
    assert.equal((await change({ to: person('alice', 'localhost', 8) })).statusCode, 409);
    const replaced = await change({ to: person('alice', 'localhost', 8), ends: [third] });
    assert.equal(replaced.statusCode, 200);
  });

  it("are not those of the deployment's owner, which bind runtimes", async () => {
    const response = await post(KEYS, AUTH, {
      ...{ key: alice.key, next: next.key, challenge: 'A' },
      ...{ signature: 'A'.repeat(86), next_signature: 'A'.repeat(86) },
    });
    assert.deepEqual([response.statusCode, response.json().error], [409, 'conflict']);
    assert.match(response.json().message, /operator-root\.key/);
  });
});
