import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { RejectedCommit, SourceStatus } from '../../src/authority/policy-source.ts';
import type { Published, TestedRevision } from '../../src/authority/revisions.ts';
import { gitOrigin } from '../../src/policy/git.ts';
import { OriginFailed } from '../../src/policy/origin.ts';
import { InputError } from '../../src/reason.ts';
import { PATIENT_MS, wasmBuilt } from '../policy/compiler/support.ts';
import { policyRepository, type Repository } from '../support/git-repository.ts';
import { type Running, running, type VectorCase, vectors } from '../support/running.ts';
import { servedConfig, serving } from '../support/serving.ts';

interface Kept {
  readonly name: string;
  readonly revision: string;
  readonly serial: number;
  readonly sha256: string;
  readonly active: boolean;
  readonly published: Published | null;
  readonly tests: TestedRevision | null;
}

describe('policies from a git repository', function () {
  this.timeout(4 * PATIENT_MS);
  let folder: string;
  let repository: Repository;
  let service: Running | null = null;

  const allowed = vectors.cases.find(
    ({ level, expect }) => level === 'full' && expect === 'allow',
  ) as VectorCase;
  const at = (name: string) => join(folder, name);
  const configOf = (more: object = {}) => ({
    bundles: { source: `git+file://${repository.path}#main`, every: '1h', ...more },
  });
  const now = () => {
    assert.ok(service !== null);
    return service;
  };
  async function start(more: object = {}): Promise<void> {
    service = await running({ folder: at('service'), config: configOf(more) });
  }
  async function stop(): Promise<void> {
    await service?.stop();
    service = null;
  }
  async function history() {
    const { body } = await now().control('/api/wallet/policies/history');
    const { bundles, source } = body as unknown as { bundles: Kept[]; source: SourceStatus };
    return { bundles, source, active: bundles.filter(({ active }) => active) };
  }
  const revisions = async () => (await history()).active.map(({ revision }) => revision);
  const low = async () => (await history()).active.find(({ name }) => name === 'low') as Kept;
  const look = () => now().app.reloadBundles();
  /** Looks, and gives why what is there was rejected. */
  async function rejected(): Promise<RejectedCommit> {
    const before = await revisions();
    await assert.rejects(look(), InputError);
    assert.deepEqual(await revisions(), before);
    const { source } = await history();
    assert.equal(source.behind, true);
    return source.rejected[0] as RejectedCommit;
  }
  /** A threshold of low and the tests that go with it. */
  const threshold = (from: number, to: number) => {
    repository.edit('low/data.json', `${from}000`, `${to}000`);
    repository.edit('low/decision_test.rego', new RegExp(`${from}00([01])`, 'g'), `${to}00$1`);
  };

  before(function () {
    if (!wasmBuilt()) this.skip();
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-source-'));
    for (const name of ['repo', 'service']) mkdirSync(at(name));
    repository = policyRepository(at('repo'));
  });
  afterEach(async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('are in force from the start, each revision with the commit, signed by the own key', async () => {
    await start();
    const commit = repository.git('rev-parse', 'HEAD');
    const { verdict, decisionId } = await now().grpc(allowed.request);
    const record = (await now().records()).records.find(({ decision_id }) => decision_id === decisionId);
    assert.equal(verdict, 'allow');
    assert.match(
      record?.bundle?.revision ?? '',
      new RegExp(`^(?:low|high|critical)-${commit.slice(0, 12)}-1$`),
    );
    const { source } = await history();
    assert.deepEqual([source.accepted?.commit, source.accepted?.author], [commit, 'Ada']);
  });

  it('follow the branch: the next commit is in force, with a higher serial', async () => {
    await start();
    threshold(30, 20);
    const commit = repository.commit('fresher');
    assert.equal((await look()).length, 3);
    const { revision, serial } = await low();
    assert.deepEqual([revision, serial], [`low-${commit.slice(0, 12)}-2`, 2]);
  });

  it('say what the tests of the commit came to, which were run here', async () => {
    await start();
    const { active } = await history();
    for (const { name, tests, published } of active) {
      assert.ok(tests !== null, name);
      assert.deepEqual([published?.author, published?.commit], ['Ada', tests.commit]);
      const { passed, failed, by, commit, coverage } = tests;
      assert.deepEqual([failed, by, commit], [0, 'service', repository.git('rev-parse', 'HEAD')]);
      assert.ok(passed > 40 && coverage.percent > 80, JSON.stringify([name, passed, coverage.percent]));
      assert.ok(coverage.files.every(({ file }) => file.startsWith(`lemma/${name}/`)));
    }
  });

  it('stay where nothing of them has changed', async () => {
    await start();
    const before = await revisions();
    repository.write('README.md', 'ours\n');
    const commit = repository.commit('words');
    assert.deepEqual(await look(), []);
    assert.deepEqual([(await history()).source.accepted?.commit, await revisions()], [commit, before]);
  });

  describe('of a commit that is wrong never come into force:', () => {
    const WRONG: readonly (readonly [what: string, act: () => void, code: string, why: RegExp])[] = [
      [
        'tests fail',
        () => repository.edit('low/data.json', '30000', '20000'),
        'tests_failed',
        /tests failed\npolicies\/low\/decision_test\.rego:\d+:1: data\.lemma\.low_test\.test_\w+: fail/,
      ],
      [
        'the check fails',
        () => repository.edit('low/decision.rego', 'input.profile', 'input.profil'),
        'policy_invalid',
        /policies\/low\/decision\.rego:\d+:\d+: rego_type_error: undefined ref: input\.profil/,
      ],
      [
        'a rule has no test',
        () =>
          repository.write(
            'policies/low/own.rego',
            'package lemma.low\n\ndeny contains "x_a" if input.now < 0\n',
          ),
        'policy_invalid',
        /policies\/low\/own\.rego:3:1: lint_rule_untested/,
      ],
      [
        'there is no test at all',
        () => {
          for (const file of repository.git('ls-files', '*_test.rego').split('\n'))
            repository.git('rm', file);
        },
        'policy_invalid',
        /lint_rule_untested/,
      ],
      [
        'a profile is missing',
        () => rmSync(join(repository.path, 'policies/high'), { recursive: true }),
        'policy_invalid',
        /have no folder high: the service needs all profiles/,
      ],
      [
        'a file is a link',
        () => symlinkSync('/etc/passwd', join(repository.path, 'policies/low/more.rego')),
        'commit_refused',
        /low\/more\.rego is a link or a submodule/,
      ],
      [
        'a file has a name that no bundle has',
        () => repository.write('policies/low/a b.rego', 'package lemma.low\n'),
        'commit_refused',
        /low\/a b\.rego is no name for a policy's file/,
      ],
      [
        'a file is too large',
        () => repository.write('policies/low/large.rego', `package lemma.low\n#${'x'.repeat(8 << 20)}\n`),
        'commit_refused',
        /low\/large\.rego has \d+ bytes, over 8388608/,
      ],
    ];
    for (const [what, act, code, why] of WRONG) {
      it(what, async () => {
        await start();
        act();
        const commit = repository.commit(what);
        const found = await rejected();
        assert.deepEqual([found.commit, found.subject, found.code], [commit, what, code]);
        assert.match(found.message, why);
      });
    }
  });

  it('of a wrong commit are told of once, by an alert and by a metric, until the branch is mended', async () => {
    await start();
    repository.edit('low/data.json', '30000', '20000');
    const wrong = repository.commit('wrong');
    await rejected();
    assert.deepEqual(await look(), []);
    assert.deepEqual(await told(), { alerts: [`commit ${wrong.slice(0, 12)}`], behind: '1' });

    repository.git('revert', '--no-edit', 'HEAD');
    await look();
    assert.deepEqual(await told(), { alerts: [], behind: '0' });
    assert.deepEqual(
      (await history()).source.rejected.map(({ commit }) => commit),
      [wrong],
    );
  });

  async function told() {
    const { body } = await now().control('/api/wallet/runtimes/alerts/summary');
    const alerts = (body.alerts as { kind: string; message: string }[])
      .filter(({ kind }) => kind === 'policy_source')
      .map(({ message }) => message.slice(0, 19));
    const metrics = await (await fetch(`http://${now().app.addresses.control}/metrics`)).text();
    return { alerts, behind: /^lemma_policy_source_behind (\d)$/m.exec(metrics)?.[1] };
  }

  it('are taken back by git revert', async () => {
    await start();
    const [before] = await revisions();
    threshold(30, 20);
    repository.commit('fresher');
    await look();
    repository.git('revert', '--no-edit', 'HEAD');
    await look();
    const { serial, revision } = await low();
    assert.equal(serial, 3);
    assert.notEqual(revision, before);
  });

  it('refuse a branch that was moved back, until the configuration names its commit', async () => {
    await start();
    const first = repository.git('rev-parse', 'HEAD');
    threshold(30, 20);
    repository.commit('fresher');
    await look();
    repository.git('reset', '--quiet', '--hard', first);
    const found = await rejected();
    assert.deepEqual([found.commit, found.code], [first, 'commit_rewound']);
    assert.match(found.message, /is older than \w+, which is in force: undo a change by `git revert`/);

    await now().reload(configOf({ rewind_to: first }));
    await look();
    const { revision } = await low();
    assert.equal(revision, `low-${first.slice(0, 12)}-3`);
  });

  it('refuse a branch that was made anew', async () => {
    await start();
    threshold(30, 20);
    repository.git('add', '--all');
    repository.git('commit', '--quiet', '--amend', '--message', 'another');
    const found = await rejected();
    assert.equal(found.code, 'commit_rewound');
    assert.match(found.message, /does not follow/);
  });

  it('that an operator rolled back stay so until the next commit', async () => {
    await start();
    const first = await low();
    threshold(30, 20);
    repository.commit('fresher');
    await look();
    await now().control('/api/wallet/policies/rollback', { profile: 'low', to: first.sha256 });
    await look();
    assert.equal((await low()).sha256, first.sha256);
    await stop();
    await start();
    assert.equal((await low()).sha256, first.sha256);
    threshold(20, 10);
    const commit = repository.commit('fresher still');
    await look();
    const { revision } = await low();
    assert.equal(revision, `low-${commit.slice(0, 12)}-3`);
  });

  it('are the same after a restart, the same bytes', async () => {
    await start();
    const before = (await history()).active;
    await stop();
    await start();
    assert.deepEqual(
      (await history()).active.map(({ sha256 }) => sha256),
      before.map(({ sha256 }) => sha256),
    );
  });

  it('are those of before after a restart at a commit that is wrong, and it is said', async () => {
    await start();
    const before = await revisions();
    await stop();
    repository.edit('low/data.json', '30000', '20000');
    const wrong = repository.commit('wrong');
    await start();
    assert.deepEqual(await revisions(), before);
    assert.equal((await history()).source.rejected[0]?.commit, wrong);
    assert.ok(now().logged.some((line) => line.includes(`commit ${wrong} is not put into force`)));
  });

  it('are those of before while the repository cannot be read, which is told once', async () => {
    await start();
    const before = await revisions();
    renameSync(repository.path, at('moved'));
    await assert.rejects(look(), /bundles\.source: .*does not appear to be a git repository/);
    assert.deepEqual(await look(), []);
    assert.notEqual((await history()).source.failing, null);
    renameSync(at('moved'), repository.path);
    await look();
    assert.deepEqual([(await history()).source.failing, await revisions()], [null, before]);
  });

  it('are no start where the first commit is wrong', async () => {
    repository.edit('low/data.json', '30000', '20000');
    repository.commit('wrong');
    await assert.rejects(start(), /bundles\.source: commit \w+ is not put into force: tests_failed/);
  });

  it('are no reload where the branch is not there', async () => {
    await start();
    const before = await revisions();
    const source = `git+file://${repository.path}#other`;
    await assert.rejects(
      now().reload({ bundles: { source } }),
      /couldn't find remote ref refs\/heads\/other/,
    );
    threshold(30, 20);
    repository.commit('fresher');
    await look();
    assert.notDeepEqual(await revisions(), before);
  });

  it('give way to other bundles, and come back with a higher serial', async () => {
    await start();
    const { serial } = await low();
    await now().reload({});
    assert.equal((await history()).source, null);
    await now().reload(configOf());
    assert.ok((await low()).serial > serial);
  });

  it('run nothing of the repository: no hook, no filter, no command of its configuration', async () => {
    const ran = at('ran');
    for (const key of ['filter.x.smudge', 'filter.x.clean', 'uploadpack.packObjectsHook', 'core.fsmonitor'])
      repository.git('config', key, `touch ${ran}; cat`);
    for (const hook of ['post-checkout', 'post-merge', 'reference-transaction', 'pre-auto-gc'])
      repository.write(`.git/hooks/${hook}`, `#!/bin/sh\ntouch ${ran}\n`);
    rmSync(ran, { force: true });
    await start();
    assert.equal(existsSync(ran), false);
  });

  it('are fetched also where a git was killed on its way', async () => {
    await start();
    await stop();
    for (const name of ['refs/lemma/head', 'refs/lemma/kept', 'packed-refs'])
      writeFileSync(at(`service/.lemma/policy-source.git/${name}.lock`), '');
    threshold(30, 20);
    const commit = repository.commit('fresher');
    await start();
    assert.equal((await low()).revision, `low-${commit.slice(0, 12)}-2`);
  });

  it('need git, and say so', async () => {
    const ref = 'refs/heads/main';
    const source = { kind: 'git', protocol: 'file', url: repository.path, ref, path: null } as const;
    const origin = gitOrigin(at('mirror.git'), source, { PATH: at('nothing') });
    await assert.rejects(origin.latest(), (error) => {
      assert.ok(error instanceof OriginFailed);
      assert.match(error.message, /^git is not there: install it/);
      return true;
    });
  });

  it('from a folder follow what is written there, and stay where that is wrong', async () => {
    const bundles = { source: 'rego+file:./repo' };
    writeFileSync(join(folder, 'lemma.yaml'), stringify({ ...servedConfig(), bundles }));
    const served = await serving(folder);
    try {
      const wrong = served.notes.length;
      repository.edit('low/data.json', '30000', '20000');
      await served.noted(/bundles\.source: commit \w{64} is not put into force: tests_failed/, wrong);
      repository.edit('low/decision_test.rego', /3000([01])/g, '2000$1');
      await served.noted(/^Policy low is now low-[0-9a-f]{12}-2 /);
      const { body } = await served.control('/api/wallet/policies/history');
      assert.equal((body.source as SourceStatus).behind, false);
    } finally {
      await served.end('SIGTERM');
    }
  });

  it('are asked for by a running `lemma serve`, which says what is new and what is refused', async () => {
    const bundles = { source: 'git+file:./repo#main', every: '1s' };
    writeFileSync(join(folder, 'lemma.yaml'), stringify({ ...servedConfig(), bundles }));
    const served = await serving(folder);
    try {
      threshold(30, 20);
      const good = repository.commit('fresher');
      await served.noted(new RegExp(`^Policy low is now low-${good.slice(0, 12)}-2 `));
      repository.edit('low/data.json', '20000', '10000');
      const wrong = repository.commit('wrong');
      await served.noted(new RegExp(`bundles\\.source: commit ${wrong} is not put into force: tests_failed`));
      await served.noted(/^BUNDLES NOT RELOADED: the policies that run go on/);
    } finally {
      await served.end('SIGTERM');
    }
  });
});
