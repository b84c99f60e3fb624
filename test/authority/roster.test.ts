import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createAccess } from '../../src/authority/access.ts';
import { accessSecret, ownerAt } from '../../src/authority/identity.ts';
import { createOperators, type Operator } from '../../src/authority/operators.ts';
import { Refusal } from '../../src/authority/refusal.ts';
import { permissionsOf } from '../../src/authority/roles.ts';
import { type Member, operatorOf } from '../../src/authority/roster.ts';
import { PERMISSIONS, type Permission, ROLES } from '../../src/schema/access.ts';
import type { AddOperatorBody } from '../../src/schema/api-access.ts';
import { HOME, NOW, newKey, openWorld, type World } from './support.ts';

const THERE = { org: 'other', env: 'prod' } as const;
const BY = { kind: 'session', id: 'ses_1' } as const;

describe('the roster', () => {
  let world: World;
  let access: ReturnType<typeof createAccess>;
  const owner = createOperators({ ...HOME, key: 'k' }).authenticate('k') as Operator;
  beforeEach(async () => {
    world = await openWorld();
    access = accessOf(world);
  });
  afterEach(() => world.close());

  function accessOf({ store, keys, errors }: World, validFrom = 0) {
    return createAccess({
      home: HOME,
      owner: ownerAt('localhost', keys),
      secret: accessSecret(keys),
      store,
      clock: () => NOW,
      keepMs: () => 1000,
      validFrom,
      onError: (error) => errors.push(error),
    });
  }

  let made = 0;
  const somebody = (over: object = {}): AddOperatorBody => {
    made += 1;
    const subject = `did:lemma:ppid_${made.toString(16).padStart(64, '0')}`;
    return { name: 'somebody', subject, keys: [newKey()], role: 'operator', ...over };
  };
  const add = (over: object = {}, caller = owner) => access.roster.add(caller, somebody(over));
  const as = (member: Member, tenant: typeof HOME | typeof THERE = HOME, only?: readonly Permission[]) =>
    operatorOf(member, tenant, BY, only);
  const refused = (code: string) => (error: unknown) => error instanceof Refusal && error.code === code;

  it('outlives the process', async () => {
    const { id } = await add();
    world = await world.restart();
    assert.equal((await accessOf(world).roster.find(HOME, id))?.id, id);
  });

  it('gives the owner of the deployment every permission there is', () => {
    assert.deepEqual([...permissionsOf({ role: 'owner', platform: true })].sort(), [...PERMISSIONS].sort());
  });

  it('has one operator for one subject', async () => {
    const { subject } = await add();
    await assert.rejects(add({ subject }), refused('conflict'));
  });

  it('has one operator for one key', async () => {
    const { keys } = await add();
    await assert.rejects(add({ keys }), refused('conflict'));
  });

  it('takes no weak key', async () => {
    const keys = [Buffer.alloc(32).toString('base64url')];
    await assert.rejects(add({ keys }), /keys\[0\]/);
  });

  describe("of another organisation's tenant", () => {
    it('does not lose its last owner, removed or demoted', async () => {
      const last = await add({ ...THERE, role: 'owner' });
      await assert.rejects(access.roster.remove(as(last, THERE), last.id), refused('conflict'));
      const demoted = access.roster.change(as(last, THERE), last.id, { role: 'auditor' });
      await assert.rejects(demoted, refused('conflict'));
    });

    it('keeps one of two owners who remove each other at once', async () => {
      const first = await add({ ...THERE, role: 'owner' });
      const second = await add({ ...THERE, role: 'owner' });
      const results = await Promise.allSettled([
        access.roster.remove(as(first, THERE), second.id),
        access.roster.remove(as(second, THERE), first.id),
      ]);
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      assert.equal((await access.roster.list(THERE)).length, 1);
    });

    it('is begun by nobody who was removed meanwhile', async () => {
      const gone = await add({ role: 'owner', platform: true });
      await access.roster.remove(owner, gone.id);
      await assert.rejects(add(THERE, as(gone)), refused('forbidden'));
    });

    it('is begun by the platform role alone', async () => {
      const local = await add({ role: 'owner' });
      await assert.rejects(add(THERE, as(local)), refused('forbidden'));
    });
  });

  it('does nothing for a caller who was removed meanwhile', async () => {
    const gone = await add({ role: 'owner' });
    await access.roster.remove(owner, gone.id);
    await assert.rejects(add({}, as(gone)), refused('forbidden'));
  });

  it('lets nobody change or remove one who may more', async () => {
    const local = await add({ role: 'owner' });
    const platform = await add({ role: 'owner', platform: true });
    const caller = as(local);
    await assert.rejects(access.roster.remove(caller, platform.id), refused('forbidden'));
    const changed = access.roster.change(caller, platform.id, { keys: [newKey()] });
    await assert.rejects(changed, refused('forbidden'));
  });

  it('lets nobody hand on more than his own grants', async () => {
    const grants = { scopes: ['documents.*'], audiences: ['https://api.example.com'], longest_life_s: 600 };
    const caller = as(await add({ role: 'owner', grants }));
    await assert.rejects(add({ grants: null }, caller), refused('forbidden'));
    await assert.rejects(add({ grants: { ...grants, scopes: ['other'] } }, caller), refused('forbidden'));
    await assert.rejects(add({ grants: { ...grants, longest_life_s: 601 } }, caller), refused('forbidden'));
    const within = await add({ grants: { ...grants, scopes: ['documents.read'] } }, caller);
    assert.deepEqual(within.grants?.scopes, ['documents.read']);
  });

  it('takes from an API key what its maker loses', async () => {
    const maker = await add();
    const { token } = await access.apiKeys.create(as(maker), {
      name: 'ci',
      permissions: ['runtimes.stop', 'runtimes.read'],
    });
    await access.roster.change(owner, maker.id, { role: 'auditor' });
    assert.deepEqual([...((await access.apiKeys.authenticate(token))?.may ?? [])], ['runtimes.read']);
  });

  it('knows no key of before a restore: it may have been revoked since the backup', async () => {
    const { token } = await access.apiKeys.create(owner, { name: 'ci', permissions: ['runtimes.read'] });
    assert.equal(await accessOf(world, NOW + 1).apiKeys.authenticate(token), null);
  });

  it('gives nobody a permission that its maker lacks, whatever is asked', async () => {
    const roles = fc.record({ role: fc.constantFrom(...ROLES), platform: fc.boolean() });
    const some = fc.uniqueArray(fc.constantFrom(...PERMISSIONS), { minLength: 1 });
    const step = fc.record({ who: fc.nat(), whom: fc.nat(), to: roles, only: fc.option(some), asked: some });
    const begin = async (to: { role: Member['role']; platform: boolean }) => add({ ...THERE, ...to });

    await fc.assert(
      fc.asyncProperty(roles, fc.array(step, { minLength: 1, maxLength: 8 }), async (first, steps) => {
        await begin({ role: 'owner', platform: false });
        await begin(first);
        const ceiling = permissionsOf({ role: 'owner', platform: first.platform });
        for (const { who, whom, to, only, asked } of steps) {
          const members = await access.roster.list(THERE);
          const maker = members[who % members.length] as Member;
          const target = members[whom % members.length] as Member;
          const caller = as(maker, THERE, only ?? undefined);
          const settled = await Promise.allSettled([
            access.roster.add(caller, somebody(to)),
            access.roster.change(caller, target.id, to),
            access.apiKeys.create(caller, { name: 'k', permissions: asked }),
            approved(caller, asked),
          ]);
          for (const result of settled) {
            if (result.status === 'rejected') {
              assert.ok(result.reason instanceof Refusal, String(result.reason));
              continue;
            }
            const given = await mayOf(result.value);
            assert.deepEqual(
              given.filter((permission) => !caller.may.has(permission)),
              [],
            );
          }
        }
        const all = (await access.roster.list(THERE)).flatMap((member) => [...permissionsOf(member)]);
        assert.deepEqual(
          all.filter((permission) => !ceiling.has(permission)),
          [],
        );
        await clear();
      }),
      { numRuns: 60 },
    );

    async function approved(caller: Operator, permissions: readonly Permission[]) {
      const codes = await access.devices.start({ name: 'cli', address: '::1' }, []);
      await access.devices.approve(caller, codes.user_code, { permissions, life_ms: 1000 });
      return access.devices.poll(codes.device_code, 'cli');
    }

    async function mayOf(value: Member | { readonly token: string }): Promise<Permission[]> {
      if ('role' in value) return [...permissionsOf(value)];
      return [...((await access.apiKeys.authenticate(value.token))?.may ?? [])];
    }

    async function clear() {
      const document = await world.store.getDocument('roster', 'other/prod');
      if (document !== null) await world.store.removeDocument(document);
    }
  });
});
