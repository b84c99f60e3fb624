import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { publicKeyOf } from '#runtime';
import { type KeyRing, knownCheckpointKeys, openKeyRing } from '../../src/authority/key-ring.ts';
import { draftKey, leftDraft, loadKeys, publicJwk } from '../../src/authority/keys.ts';
import { Refusal } from '../../src/authority/refusal.ts';
import { KeyFileError } from '../../src/authority/secret-file.ts';
import { thumbprint } from '../../src/crypto/thumbprint.ts';
import { KEY_USES, type KeyUse } from '../../src/schema/common.ts';
import { StoreWriteError } from '../../src/store/errors.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { HOME, NOW, tempFolder } from './support.ts';

const FILES: Record<KeyUse, string> = { authority: 'issuer', checkpoint: 'checkpoint', bundle: 'bundle' };

describe('the key ring', () => {
  let folder: ReturnType<typeof tempFolder>;
  let store: Store;
  let now: number;
  let changes: number;
  let errors: string[];
  beforeEach(async () => {
    folder = tempFolder();
    now = NOW;
    changes = 0;
    errors = [];
    store = await openStore({ path: join(folder.path, 'lemma.db'), clock: () => now });
  });
  afterEach(async () => {
    await store.close();
    folder.remove();
  });

  /** As a start does it: keys from their files, the rest from the store. */
  async function open(over: Partial<Store> = {}): Promise<KeyRing> {
    const keys = loadKeys(folder.path);
    return openKeyRing({
      folder: folder.path,
      keys,
      known: (await store.load()).signing_keys,
      store: { ...store, ...over },
      home: HOME,
      clock: () => now,
      onChange: () => {
        changes += 1;
      },
      onError: (_error, doing) => errors.push(doing),
    });
  }

  const file = (use: KeyUse) => join(folder.path, 'keys', `${FILES[use]}.key`);
  const kidInFile = (use: KeyUse) =>
    thumbprint(publicKeyOf(Buffer.from(readFileSync(file(use), 'utf8').trim(), 'base64url')));
  const statuses = (ring: KeyRing, use: KeyUse) =>
    Object.fromEntries(ring.list().flatMap((key) => (key.use === use ? [[key.kid, key.status]] : [])));
  const events = async () => (await store.eventsAfter(0, 100)).map(({ payload }) => payload.action);
  const failing = async () => {
    throw new StoreWriteError('SQLITE_FULL', 'full');
  };

  it('begins with the keys of the folder', async () => {
    const ring = await open();
    const found = ring.list().map(({ use, kid, status }) => [use, kid, status]);
    const { issuer, checkpoint, bundle } = loadKeys(folder.path);
    assert.deepEqual(found, [
      ['authority', publicJwk(issuer).kid, 'current'],
      ['bundle', publicJwk(bundle).kid, 'current'],
      ['checkpoint', publicJwk(checkpoint).kid, 'current'],
    ]);
  });

  it('is the same after a restart, without a new event', async () => {
    const first = (await open()).list();
    const before = await events();
    const again = (await open()).list();
    assert.deepEqual([again, await events()], [first, before]);
  });

  for (const use of KEY_USES) {
    describe(`rotating ${use}`, () => {
      it('has a new key sign, and trusts the one before', async () => {
        const ring = await open();
        const before = kidInFile(use);
        const { kid } = await ring.rotate(use);
        assert.deepEqual(statuses(ring, use), { [before]: 'previous', [kid]: 'current' });
      });

      it('is known after a restart', async () => {
        await (await open()).rotate(use);
        const rotated = await open();
        const own = rotated.list().find((key) => key.use === use && key.status === 'current');
        assert.equal(own?.kid, kidInFile(use));
      });

      it('leaves files of the owner alone, and no draft', async () => {
        await (await open()).rotate(use);
        assert.deepEqual(
          [statSync(file(use)).mode & 0o777, readdirSync(join(folder.path, 'keys')).length],
          [0o600, 5],
        );
      });

      it('changes nothing where it cannot be made durable', async () => {
        const ring = await open();
        const before = [ring.list(), kidInFile(use), changes];
        const full = await open({ appendEvent: failing });
        await assert.rejects(full.rotate(use), StoreWriteError);
        const after = await open();
        assert.deepEqual([after.list(), kidInFile(use), changes], before);
      });

      it('is undone at the next start where the process ended before it was durable', async () => {
        const before = (await open()).list();
        draftKey(folder.path, use);
        const after = await open();
        assert.deepEqual([after.list(), existsSync(`${file(use)}.next`)], [before, false]);
      });

      it('is done at the next start where the process ended before the file was in its place', async () => {
        await open();
        const before = kidInFile(use);
        const dying = await open({
          appendEvent: async (event) => {
            await store.appendEvent(event);
            throw new Error('the process ended');
          },
        });
        await assert.rejects(dying.rotate(use), /the process ended/);
        const kid = thumbprint(publicKeyOf(leftDraft(folder.path, use) ?? new Uint8Array()));
        const ring = await open();
        assert.deepEqual(
          [statuses(ring, use)[kid], kidInFile(use), existsSync(`${file(use)}.next`)],
          ['current', kid, false],
        );
        assert.deepEqual([statuses(ring, use)[before], errors], ['previous', []]);
      });
    });
  }

  it('signs roots and checkpoints with the new keys at once', async () => {
    const ring = await open();
    const [issuer, keyid] = [ring.issuer(), ring.logKey().keyid];
    await ring.rotate('authority');
    await ring.rotate('checkpoint');
    assert.deepEqual(
      [thumbprint(publicKeyOf(ring.issuer())), ring.logKey().keyid],
      [kidInFile('authority'), kidInFile('checkpoint')],
    );
    assert.notDeepEqual([ring.issuer(), ring.logKey().keyid], [issuer, keyid]);
  });

  it('rotates one at a time', async () => {
    const ring = await open();
    await Promise.all([ring.rotate('authority'), ring.rotate('authority'), ring.rotate('authority')]);
    const found = Object.values(statuses(ring, 'authority')).sort();
    assert.deepEqual(found, ['current', 'previous', 'previous', 'previous']);
    assert.deepEqual(
      (await open())
        .list()
        .map(({ kid }) => kid)
        .sort(),
      ring
        .list()
        .map(({ kid }) => kid)
        .sort(),
    );
  });

  it('trusts a retired key no more, for roots and bundles', async () => {
    const ring = await open();
    const kids = [kidInFile('authority'), kidInFile('bundle')];
    await ring.rotate('authority');
    await ring.rotate('bundle');
    for (const kid of kids) await ring.retire(kid);
    const trusted = [...ring.trusted('authority'), ...ring.trusted('bundle')].map(({ kid }) => kid);
    assert.deepEqual(trusted, [kidInFile('authority'), kidInFile('bundle')]);
  });

  it('verifies checkpoints with every key there ever was', async () => {
    const ring = await open();
    const kid = kidInFile('checkpoint');
    await ring.rotate('checkpoint');
    await ring.retire(kid);
    assert.deepEqual(
      new Set((await open()).checkpointKeys().keys()),
      new Set([kid, kidInFile('checkpoint')]),
    );
  });

  it('does not retire the key that signs', async () => {
    const ring = await open();
    await assert.rejects(ring.retire(kidInFile('authority')), (error) => {
      return (
        error instanceof Refusal &&
        error.code === 'conflict' &&
        /rotate the authority key first/.test(error.message)
      );
    });
  });

  it('does not know a key that it never had', async () => {
    const ring = await open();
    await assert.rejects(
      ring.retire('A'.repeat(43)),
      (error) => error instanceof Refusal && error.code === 'not_found',
    );
  });

  it('keeps who asked and why with the event', async () => {
    await (await open()).rotate('bundle', { by: 'owner', reason: 'the yearly one' });
    const payload = (await store.eventsAfter(3, 1))[0]?.payload;
    assert.deepEqual([payload?.action, payload?.by, payload?.reason], ['rotated', 'owner', 'the yearly one']);
  });

  it('takes a key that was put there by hand, and then trusts none of before', async () => {
    const ring = await open();
    await ring.rotate('authority');
    renameSync(file('authority'), join(folder.path, 'elsewhere'));
    const replaced = await open();
    assert.deepEqual(
      [replaced.trusted('authority').map(({ kid }) => kid), errors],
      [[kidInFile('authority')], ['authority keys that only the store names do not count']],
    );
  });

  for (const use of KEY_USES) {
    it(`trusts no ${use} key that only the database names`, async () => {
      await (await open()).rotate(use);
      await store.close();
      const forged = publicJwk(new Uint8Array(32).fill(3));
      const db = new Sqlite(join(folder.path, 'lemma.db'));
      const copied = db
        .prepare("SELECT endorsement FROM signing_keys WHERE use = ? AND status = 'previous'")
        .pluck()
        .get(use);
      db.prepare("INSERT INTO signing_keys VALUES (?, ?, ?, 'previous', 1, 2, ?)").run(
        use,
        forged.kid,
        forged.x,
        copied,
      );
      db.close();
      store = await openStore({ path: join(folder.path, 'lemma.db'), clock: () => now });
      const ring = await open();
      const known = [...ring.trusted('authority'), ...ring.trusted('bundle')].map(({ kid }) => kid);
      assert.deepEqual([known.includes(forged.kid), ring.checkpointKeys().has(forged.kid)], [false, false]);
    });
  }

  it('trusts no key again that only the database calls unretired', async () => {
    const ring = await open();
    const kid = kidInFile('authority');
    await ring.rotate('authority');
    await ring.retire(kid);
    await store.close();
    const db = new Sqlite(join(folder.path, 'lemma.db'));
    db.exec("UPDATE signing_keys SET status = 'previous' WHERE status = 'retired'");
    db.close();
    store = await openStore({ path: join(folder.path, 'lemma.db'), clock: () => now });
    assert.deepEqual(
      (await open()).trusted('authority').map((key) => key.kid),
      [kidInFile('authority')],
    );
  });

  it('is known to a folder at rest, by what its key endorses', async () => {
    const ring = await open();
    await ring.rotate('checkpoint');
    await ring.rotate('checkpoint');
    const named = (await store.load()).signing_keys;
    const { keys, endorsed } = knownCheckpointKeys(folder.path, named);
    assert.deepEqual([new Set(keys.keys()), endorsed], [new Set(ring.checkpointKeys().keys()), true]);
    const unendorsed = named.map((key) => ({ ...key, endorsement: null }));
    assert.deepEqual(
      [...knownCheckpointKeys(folder.path, unendorsed).keys.keys()],
      [kidInFile('checkpoint')],
    );
  });

  it('refuses to start on a retired key that was put back', async () => {
    const ring = await open();
    const old = readFileSync(file('authority'), 'utf8');
    const kid = kidInFile('authority');
    await ring.rotate('authority');
    await ring.retire(kid);
    writeFileSync(file('authority'), old);
    await assert.rejects(
      open(),
      (error) => error instanceof KeyFileError && /which was retired/.test(error.message),
    );
  });

  it('goes on with the keys of the files where the store can take no event', async () => {
    const ring = await open({ appendEvent: failing });
    assert.deepEqual(
      [ring.trusted('authority').map(({ kid }) => kid), errors.length],
      [[kidInFile('authority')], 3],
    );
  });
});
