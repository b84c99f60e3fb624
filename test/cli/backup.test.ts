import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { databaseOf, folders } from '../pdp/support.ts';
import { keyNamed, ORIGIN, request } from '../support/kit.ts';
import { type Agent, type Serving, serving } from '../support/serving.ts';
import { lemma, type Run } from './lemma.ts';

const RUNTIMES = '/api/wallet/runtimes';

/** A credential for reading, which needs no PoP. */
async function credentialFor(service: Serving, runtimeId: string): Promise<string> {
  const { body } = await service.control(`${RUNTIMES}/issue-proof`, {
    runtime_id: runtimeId,
    key: toBase64url(keyNamed(runtimeId).public),
    scope: ['documents.*'],
    audience: [ORIGIN],
  });
  return String(body.header);
}

async function reading(service: Serving, credential: string): Promise<string> {
  const { verdict } = await service.grpc(request({ headers: [['x-lemma-credential', credential]] }));
  return verdict;
}

describe('lemma backup and restore', () => {
  const temporary = folders();
  let folder: string;
  let other: string;
  let service: Serving;
  let agent: Agent;
  let credential: string;
  let backup: Run;
  let restore: Run;
  let exported: string[];
  const during: string[] = [];

  const cli = (where: string, ...args: string[]) =>
    lemma(where, args, { LEMMA_BASE_URL: service.controlBase });
  const codeOf = ({ out }: Run) => (JSON.parse(out) as { error_code: string | null }).error_code;

  before(async () => {
    folder = temporary.make();
    service = await serving(folder);
    agent = await service.onboard('bot-1');
    await service.onboard('bot-2');
    credential = await credentialFor(service, 'bot-1');
    await reading(service, credential);
    let busy = true;
    const load = (async () => {
      while (busy) during.push((await service.grpc(agent.writing())).verdict);
    })();
    backup = await cli(folder, 'backup', 'store.backup', '--json');
    busy = false;
    await load;
    exported = await service.exported();
    // All of this the backup does not know.
    await service.control(`${RUNTIMES}/bot-2/kill`, {});
    await service.onboard('bot-3');
  });
  after(async () => {
    await service.end('SIGKILL');
    temporary.remove();
  });

  it('goes on deciding meanwhile', () => assert.deepEqual([...new Set(during)], ['allow']));

  it('is one file, for the owner only', () => {
    const names = readdirSync(folder).filter((name) => name.startsWith('store'));
    assert.deepEqual(
      [backup.code, names, statSync(join(folder, 'store.backup')).mode & 0o777],
      [0, ['store.backup'], 0o600],
    );
  });

  it('leaves nothing in the data folder', () => {
    const left = readdirSync(join(folder, '.lemma')).filter((name) => name.startsWith('backup'));
    assert.deepEqual(left, []);
  });

  it('holds no private key', () => {
    const bytes = readFileSync(join(folder, 'store.backup'));
    const keys = readdirSync(join(folder, '.lemma/keys')).map((name) =>
      readFileSync(join(folder, '.lemma/keys', name), 'utf8').trim(),
    );
    const secrets = [...keys, service.operatorKey];
    assert.deepEqual(
      secrets.filter((secret) => bytes.includes(secret) || bytes.includes(Buffer.from(secret, 'base64url'))),
      [],
    );
  });

  it('is never written over a file', async () => {
    writeFileSync(join(folder, 'mine'), 'mine');
    const ran = await cli(folder, 'backup', 'mine', '--json');
    assert.deepEqual(
      [ran.code, codeOf(ran), readFileSync(join(folder, 'mine'), 'utf8')],
      [1, 'file_exists', 'mine'],
    );
  });

  it('is forgotten where the client hangs up, and the next one is made', async () => {
    const gone = new AbortController();
    const asked = fetch(`${service.controlBase}/api/wallet/backup`, {
      method: 'POST',
      headers: { authorization: `Bearer ${service.operatorKey}` },
      signal: gone.signal,
    });
    await service.control(`${RUNTIMES}`);
    gone.abort();
    await assert.rejects(asked, { name: 'AbortError' });
    let next: Run;
    // The first one may still be under way.
    do next = await cli(folder, 'backup', 'second.backup', '--json');
    while (codeOf(next) === 'conflict');
    const left = readdirSync(join(folder, '.lemma')).filter((name) => name.startsWith('backup'));
    assert.deepEqual([next.code, left], [0, []]);
  });

  it('is not restored over a store', async () => {
    const before = statSync(databaseOf(folder)).ino;
    const ran = await cli(folder, 'restore', 'store.backup', '--json');
    assert.deepEqual([ran.code, codeOf(ran), statSync(databaseOf(folder)).ino], [1, 'store_exists', before]);
  });

  describe('in another folder', () => {
    let second: Serving;

    /** A folder with the keys, but no store. */
    function keysOnly(): string {
      const made = temporary.make();
      mkdirSync(join(made, '.lemma'), { mode: 0o700 });
      cpSync(join(folder, '.lemma/keys'), join(made, '.lemma/keys'), { recursive: true });
      cpSync(join(folder, '.lemma/operator.key'), join(made, '.lemma/operator.key'));
      return made;
    }
    function damaged(change: (path: string) => void): string {
      const made = keysOnly();
      const path = join(made, 'store.backup');
      cpSync(join(folder, 'store.backup'), path);
      change(path);
      return made;
    }
    const sql = (text: string) => (path: string) => {
      const db = new Sqlite(path);
      db.exec(text);
      db.close();
    };

    const REFUSED: readonly { name: string; change: (path: string) => void; code: string }[] = [
      {
        name: 'a newer schema',
        change: sql("UPDATE meta SET value = '99' WHERE key = 'schema'"),
        code: 'newer_schema',
      },
      {
        name: 'a record that was edited',
        change: sql(
          'UPDATE records SET line = CAST(replace(CAST(line AS TEXT), \'"allow"\', \'"deny"\') AS BLOB) WHERE seq = 1',
        ),
        code: 'log_broken',
      },
      { name: 'a cut end', change: sql('DELETE FROM records WHERE seq > 2'), code: 'log_broken' },
      {
        name: 'a store that is no backup',
        change: sql("DELETE FROM meta WHERE key = 'backup'"),
        code: 'not_ours',
      },
      { name: 'something else', change: (path) => writeFileSync(path, 'x'.repeat(10_000)), code: 'not_ours' },
    ];

    for (const { name, change, code } of REFUSED) {
      it(`is refused with ${name}, and leaves nothing`, async () => {
        const made = damaged(change);
        const ran = await cli(made, 'restore', 'store.backup', '--json');
        const left = readdirSync(join(made, '.lemma')).sort();
        assert.deepEqual([ran.code, codeOf(ran), left], [1, code, ['keys', 'operator.key']]);
      });
    }

    it('is not believed with another key than the one given', async () => {
      const made = damaged(() => undefined);
      const ran = await cli(made, 'restore', 'store.backup', '--key', 'A'.repeat(43), '--json');
      assert.deepEqual([ran.code, codeOf(ran)], [1, 'log_broken']);
    });

    it('does nothing where it was only copied into its place: the service refuses to start', async () => {
      const made = keysOnly();
      cpSync(join(folder, 'store.backup'), databaseOf(made));
      const { code, err } = await cli(made, 'serve', '--listen-control', '127.0.0.1:0');
      assert.equal(code, 1);
      assert.match(err, /is a backup: .*lemma restore/);
    });

    describe('is restored', () => {
      let lines: string[];
      before(async () => {
        other = damaged(() => undefined);
        restore = await cli(other, 'restore', 'store.backup');
        second = await serving(other);
        lines = await second.exported();
      });
      after(() => second.end('SIGKILL'));

      it('and says loudly what is not known', () => {
        assert.equal(restore.code, 0);
        assert.match(restore.out, /WHAT HAPPENED AFTER \S+ IS NOT KNOWN HERE: kills, revocations/);
        assert.match(second.notes.join('\n'), /this state was restored from a backup/);
      });

      it('and has the records of before, unchanged', () => {
        assert.ok(lines.length > 1);
        assert.deepEqual(lines, exported.slice(0, lines.length));
      });

      it('and denies what was issued before', async () => {
        assert.equal(await reading(second, credential), 'revoked');
        assert.equal((await second.grpc(agent.writing())).verdict, 'revoked');
      });

      it('and allows what is issued anew', async () => {
        assert.equal(await reading(second, await credentialFor(second, 'bot-1')), 'allow');
      });

      it('and refuses PoPs that may have been spent before it', async () => {
        const anew = await second.onboard('bot-1');
        assert.equal((await second.grpc(anew.writing())).verdict, 'replay_check_unavailable');
      });

      it('and knows no runtime that was registered after it', async () => {
        const { status } = await second.control(`${RUNTIMES}/bot-3/kill`, {});
        assert.equal(status, 404);
      });

      it('and verifies', async () => {
        const { code, out } = await lemma(other, ['decisions', 'verify'], {
          LEMMA_BASE_URL: second.controlBase,
        });
        assert.equal(code, 0, out);
      });

      it('and leaves no draft', () => {
        const left = readdirSync(join(other, '.lemma')).filter((name) => name.includes('restoring'));
        assert.deepEqual([left, existsSync(databaseOf(other))], [[], true]);
      });
    });
  });
});
