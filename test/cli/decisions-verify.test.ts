import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { databaseOf, folders } from '../pdp/support.ts';
import { type Serving, serving } from '../support/serving.ts';
import { lemma, type Run } from './lemma.ts';

const RECORDS = 12;

interface Report {
  readonly ok: boolean;
  readonly error_code: string | null;
  readonly data: {
    readonly faults: readonly { kind: string; seq: number | null; decision_id: string | null }[];
    readonly chains: readonly { first: number; last: number; vouched: number | null }[];
  };
}

/** A change to lines of an export, and what is to be said of it. */
interface Tampering {
  readonly name: string;
  readonly change: (lines: string[]) => string[];
  readonly found: string;
}

const at = (lines: readonly string[], seq: number) =>
  lines.findIndex((line) => line.includes(`"seq":${seq},"decision_id"`));

const OF_EXPORT: readonly Tampering[] = [
  {
    name: 'an edited record',
    change: (lines) => lines.with(at(lines, 5), (lines[at(lines, 5)] ?? '').replace('"allow"', '"deny"')),
    found: 'edited 5',
  },
  { name: 'a dropped record', change: (lines) => lines.toSpliced(at(lines, 5), 1), found: 'dropped 5' },
  {
    name: 'a record out of order',
    change: (lines) => {
      const [a, b] = [at(lines, 5), at(lines, 6)];
      return lines.with(a, lines[b] ?? '').with(b, lines[a] ?? '');
    },
    found: 'reordered 5',
  },
  { name: 'a cut end', change: (lines) => lines.slice(0, at(lines, 9)), found: 'cut null' },
  {
    name: 'a cut beginning',
    change: (lines) => lines.slice(at(lines, 3)),
    found: 'dropped 1',
  },
  {
    name: 'a forged checkpoint',
    change: (lines) => lines.map((line) => line.replace(/("checkpoint":.*"time":)/, '$11')),
    found: `checkpoint_invalid ${RECORDS}`,
  },
];

const OF_DATABASE: readonly { name: string; sql: string; found: string }[] = [
  {
    name: 'an edited record',
    sql: `UPDATE records SET line = CAST(replace(CAST(line AS TEXT), '"allow"', '"deny"') AS BLOB) WHERE seq = 5`,
    found: 'edited 5',
  },
  { name: 'a dropped record', sql: 'DELETE FROM records WHERE seq = 5', found: 'dropped 5' },
  {
    name: 'a record out of order',
    sql: 'UPDATE records SET position = 9007199254740000 WHERE seq = 5',
    found: 'reordered 5',
  },
  { name: 'a cut end', sql: 'DELETE FROM records WHERE seq > 9', found: 'cut 10' },
  {
    name: 'a cut end, checkpoints and all',
    sql: 'DELETE FROM records WHERE seq > 9; DELETE FROM checkpoints',
    found: 'cut 10',
  },
  { name: 'a cut beginning', sql: 'DELETE FROM records WHERE seq < 3', found: 'dropped 1' },
  {
    name: 'a checkpoint of another key',
    sql: `UPDATE checkpoints SET document = replace(document, '"keyid":"', '"keyid":"A')`,
    found: `checkpoint_untrusted ${RECORDS}`,
  },
];

describe('lemma decisions verify', () => {
  const temporary = folders();
  let folder: string;
  let service: Serving;
  let ids: string[];
  let exported: string[];

  before(async () => {
    folder = temporary.make();
    service = await serving(folder);
    const agent = await service.onboard('bot-1');
    const verdicts = [];
    for (let n = 0; n < RECORDS; n += 1) verdicts.push(await service.grpc(agent.writing()));
    ids = verdicts.map(({ decisionId }) => decisionId);
    await run('decisions', 'export', '--out', 'log.ndjson');
    exported = readFileSync(join(folder, 'log.ndjson'), 'utf8').trimEnd().split('\n');
  });
  after(async () => {
    await service.end('SIGKILL');
    temporary.remove();
  });

  const run = (...args: string[]) => lemma(folder, args, { LEMMA_BASE_URL: service.controlBase });
  const reportOf = ({ out }: Run) => JSON.parse(out) as Report;
  const faultsOf = (ran: Run) => reportOf(ran).data.faults.map(({ kind, seq }) => `${kind} ${seq}`);

  describe('of the running service', () => {
    it('finds its log whole, every record vouched for', async () => {
      const ran = await run('decisions', 'verify', '--json');
      const { chains } = reportOf(ran).data;
      assert.deepEqual(
        [ran.code, chains.map(({ first, last, vouched }) => [first, last, vouched])],
        [0, [[1, RECORDS, RECORDS]]],
      );
    });
  });

  describe('of an export', () => {
    const verified = (lines: readonly string[], ...more: string[]) => {
      writeFileSync(join(folder, 'changed.ndjson'), `${lines.join('\n')}\n`);
      return run('decisions', 'verify', '--file', 'changed.ndjson', '--json', ...more);
    };

    it('finds it whole', async () => assert.equal((await verified(exported)).code, 0));

    for (const { name, change, found } of OF_EXPORT) {
      it(`names ${name}`, async () => {
        const ran = await verified(change(exported));
        assert.equal(ran.code, 1);
        assert.ok(faultsOf(ran).includes(found), `${faultsOf(ran)}`);
      });
    }

    it('names the decision', async () => {
      const change = OF_EXPORT[0]?.change ?? (() => []);
      const ran = await verified(change(exported));
      assert.equal(reportOf(ran).data.faults[0]?.decision_id, ids[4]);
    });

    it('says it to a person', async () => {
      writeFileSync(join(folder, 'changed.ndjson'), `${OF_EXPORT[0]?.change(exported).join('\n')}\n`);
      const { code, err } = await run('decisions', 'verify', '--file', 'changed.ndjson');
      assert.equal(code, 1);
      assert.match(err, new RegExp(`edited  .*record 5, ${ids[4]}, line 5: Record 5 was edited`));
    });

    it('does not believe one without what proves it', async () => {
      await run('decisions', 'export', '--records-only', '--out', 'records.ndjson');
      const ran = await run('decisions', 'verify', '--file', 'records.ndjson', '--json');
      assert.deepEqual([ran.code, faultsOf(ran)], [1, ['cut null', 'unvouched 1']]);
    });

    it('does not believe checkpoints of another key than the one given', async () => {
      const ran = await verified(exported, '--key', 'A'.repeat(43));
      assert.deepEqual([ran.code, faultsOf(ran)[0]], [1, `checkpoint_untrusted ${RECORDS}`]);
    });

    it('cannot check what is not there', async () => {
      const { code, err } = await run('decisions', 'verify', '--file', 'nowhere.ndjson');
      assert.equal(code, 2);
      assert.match(err, /nowhere\.ndjson cannot be read/);
    });
  });

  describe('of the database of a service that has stopped', () => {
    before(() => service.end('SIGTERM'));

    /** A copy of the folder whose database was changed by hand. */
    function copyWith(change: (db: Database) => void): string {
      const copy = temporary.make();
      cpSync(join(folder, '.lemma'), join(copy, '.lemma'), { recursive: true });
      const db = new Sqlite(databaseOf(copy));
      change(db);
      db.close();
      return copy;
    }
    const verified = (copy: string, ...more: string[]) =>
      lemma(copy, ['decisions', 'verify', '--json', ...more], { LEMMA_BASE_URL: service.controlBase });

    it('finds it whole', async () => {
      const ran = await verified(folder);
      assert.deepEqual([ran.code, reportOf(ran).data.chains[0]?.vouched], [0, RECORDS]);
    });

    for (const { name, sql, found } of OF_DATABASE) {
      it(`names ${name}`, async () => {
        const ran = await verified(copyWith((db) => db.exec(sql)));
        assert.equal(ran.code, 1);
        assert.ok(faultsOf(ran).includes(found), `${faultsOf(ran)}`);
      });
    }

    it('changes nothing', async () => {
      const before = readFileSync(databaseOf(folder));
      await verified(folder);
      assert.equal(before.equals(readFileSync(databaseOf(folder))), true);
    });

    it('verifies an export with the keys that the database knows', async () => {
      const ran = await verified(folder, '--file', 'log.ndjson');
      assert.equal(ran.code, 0);
    });

    it('cannot check a folder without one', async () => {
      const ran = await verified(temporary.make());
      assert.deepEqual([ran.code, reportOf(ran).error_code], [2, 'store_unusable']);
    });

    it('has no second place to look where a service was named', async () => {
      const ran = await verified(folder, '--api-base', service.controlBase);
      assert.deepEqual([ran.code, reportOf(ran).error_code], [1, 'unreachable']);
    });

    it('cannot check one that a running service holds, without its API', async () => {
      const second = await serving(folder);
      try {
        const { code, out } = await lemma(folder, ['decisions', 'verify', '--json'], {
          LEMMA_BASE_URL: service.controlBase,
        });
        assert.deepEqual([code, JSON.parse(out).error_code], [2, 'store_unusable']);
        assert.match(JSON.parse(out).data.message, /in use by another Lemma process/);
      } finally {
        await second.end('SIGTERM');
      }
    });
  });
});
