import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { stringify } from 'yaml';
import { signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { decodeCredential } from '../../src/proof/decode.ts';
import { credentialOf, encodeCredential, issueRun } from '../../src/proof/issue.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import { signedBytes } from '../../src/proof/signing.ts';
import { CLOCK_SKEW } from '../../src/proof/time.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { emptyFolder } from '../cli/lemma.ts';
import { BASE, consoleScene, type Scene } from '../support/console.ts';
import { keyNamed, request, type WireRequest } from '../support/kit.ts';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { PATIENT, type Verdict } from '../support/running.ts';
import { authorityPin, ERASE_ROUTE, SERVED_ROUTES, servedConfig } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';

const [READ] = SERVED_ROUTES;
const ROUTES = [
  ...SERVED_ROUTES,
  ERASE_ROUTE,
  { ...READ, id: 'elsewhere.read', host: 'other.example.com', audience: 'https://other.example.com' },
];

/** What the page says of one kind of denial. */
interface Told {
  readonly stage: 'Request' | 'Proof' | 'Live state' | 'Policy';
  /** Words of the sentence that says why. */
  readonly why: RegExp;
  /** The link of the chain that failed, by its heading. */
  readonly link?: string;
  /** Rows of the page, by their names. */
  readonly facts?: Readonly<Record<string, RegExp>>;
  /** The rule that decided. */
  readonly rule?: RegExp;
  /** What somebody had done to the runtime. */
  readonly event?: RegExp;
}

describe('each kind of denial, explained', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  let scene: Scene;
  let page: Page;
  const nodes: NodeProcess[] = [];
  let expiring: readonly Lemma[];
  before(async function () {
    writeFileSync(
      join(folder.path, 'lemma.yaml'),
      stringify({ ...servedConfig(), routes: ROUTES, limits: PATIENT }),
    );
    scene = await consoleScene(this, folder.path);
    page = await scene.signedIn('/decisions');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    expiring = await forged('expired', { expires_at: Math.floor(Date.now() / 1000) + 2 });
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.end()));
    await scene?.close();
    folder.remove();
  });

  const proofOf = (one: WireRequest) =>
    one.headers.find(([name]) => name === 'x-lemma-credential')?.[1] ?? '';
  const carrying = (links: readonly Lemma[], over: Partial<WireRequest> = {}) =>
    request({ headers: [['x-lemma-credential', encodeCredential(credentialOf([...links]))]], ...over });
  const verb = async (id: string, name: string, body: object = {}) => {
    const answer = await scene.service.control(`/api/wallet/runtimes/${id}/${name}`, body);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  };

  /** The links of a runtime, and a run below them that says what is said here: signed as it stands, be it ever so wrong. */
  async function forged(id: string, over: Partial<Lemma>): Promise<Lemma[]> {
    const agent = await scene.service.onboard(id);
    const links = decodeCredential(proofOf(agent.reading()));
    const binding = links.at(-1);
    assert.ok(binding !== undefined);
    const { scope, audience, issued_at } = binding;
    const terms = {
      key: keyNamed(`${id} run`).public,
      scope,
      audience,
      issued_at,
      expires_at: issued_at + 600,
    };
    const claims = { run_id: 'job-1', budget: { operations: 1_000_000 } };
    const { signature: _, ...run } = { ...issueRun(binding, keyNamed(id).seed, claims, terms), ...over };
    const signed = toBase64url(signEd25519(signedBytes(run as Lemma), keyNamed(id).seed));
    return [...links, { ...run, signature: signed } as Lemma];
  }

  async function node(name: string, limits: object): Promise<NodeProcess> {
    const { service } = scene;
    const wishes = { folder: folder.path, control: service.controlBase, token: service.operatorKey };
    const pin = await authorityPin(service);
    const started = await nodeProcess({ ...wishes, name, pin, config: { routes: ROUTES, limits } });
    nodes.push(started);
    return started;
  }

  const cases: readonly (readonly [reason: string, make: () => Promise<Verdict>, told: Told])[] = [
    [
      'path_ambiguous',
      async () =>
        scene.service.grpc({ ...(await scene.service.onboard('a-path')).reading(), path: '/v1/../x' }),
      {
        stage: 'Request',
        why: /empty or dot segment/,
        facts: { Route: /^not looked for$/, Runtime: /^not looked at$/ },
      },
    ],
    [
      'route_unknown',
      async () => scene.service.grpc({ ...(await scene.service.onboard('a-route')).reading(), path: '/v2' }),
      { stage: 'Request', why: /no route for api\.example\.com\/v2/, facts: { Route: /^none matched$/ } },
    ],
    [
      'auth_required',
      () => scene.service.grpc(request({ headers: [] })),
      { stage: 'Proof', why: /no credential/, facts: { 'Looked at': /^not: / } },
    ],
    [
      'encoding_invalid',
      () => scene.service.grpc(request({ headers: [['x-lemma-credential', 'AAAA']] })),
      { stage: 'Proof', why: /encoding_invalid: /, facts: { Runtime: /^nobody known$/ } },
    ],
    [
      'signature_invalid',
      async () => {
        const links = await forged('a-signature', {});
        const last = links.at(-1);
        assert.ok(last !== undefined);
        return scene.service.grpc(
          carrying([...links.slice(0, -1), { ...last, expires_at: last.expires_at - 1 }]),
        );
      },
      { stage: 'Proof', why: /not signed by/, link: 'Run', facts: { link: /^4$/ } },
    ],
    [
      'scope_escalation',
      async () => scene.service.grpc(carrying(await forged('a-scope', { scope: ['admin.all'] }))),
      { stage: 'Proof', why: /admin\.all is not in the parent's scope/, link: 'Run' },
    ],
    [
      'audience_mismatch',
      async () =>
        scene.service.grpc({
          ...(await scene.service.onboard('an-audience')).reading(),
          host: 'other.example.com',
        }),
      {
        stage: 'Proof',
        why: /not for https:\/\/other\.example\.com/,
        facts: { wanted: /other\.example\.com/, audience: /api\.example\.com/, Runtime: /^an-audience$/ },
      },
    ],
    [
      'pop_invalid',
      async () => {
        const { service } = scene;
        const [one, other] = [await service.onboard('a-pop'), await service.onboard('another-pop')];
        const proof = one.writing().headers.find(([name]) => name === 'x-lemma-proof');
        assert.ok(proof !== undefined);
        const asked = other.writing();
        return service.grpc({
          ...asked,
          headers: asked.headers.map((line) => (line[0] === 'x-lemma-proof' ? proof : line)),
        });
      },
      { stage: 'Proof', why: /the leaf key's thumbprint/, facts: { Runtime: /^a-pop$/ } },
    ],
    [
      'replay_detected',
      async () => {
        const asked = (await scene.service.onboard('replayed')).writing();
        await scene.service.grpc(asked);
        return scene.service.grpc(asked);
      },
      { stage: 'Live state', why: /nonce was spent/, facts: { 'Nonce of the signature': /^spent before$/ } },
    ],
    [
      'runtime_killed',
      async () => {
        const agent = await scene.service.onboard('killed');
        await verb('killed', 'kill', { reason: 'it was stolen' });
        return scene.service.grpc(agent.reading());
      },
      {
        stage: 'Live state',
        why: /was killed/,
        facts: { Runtime: /^killed$/ },
        event: /kill\s+it was stolen/,
      },
    ],
    [
      'runtime_inactive',
      async () => {
        const agent = await scene.service.onboard('contained');
        await verb('contained', 'contain', { reason: 'one moment' });
        return scene.service.grpc(agent.reading());
      },
      { stage: 'Live state', why: /is contained/, event: /contain\s+one moment/ },
    ],
    [
      'revoked',
      async () => {
        const agent = await scene.service.onboard('revoked');
        const lemma_id = decodeCredential(proofOf(agent.reading())).at(-1)?.id;
        await verb('revoked', 'revoke', { lemma_id, reason: 'lost laptop' });
        return scene.service.grpc(agent.reading());
      },
      { stage: 'Live state', why: /was revoked/, link: 'Runtime binding', facts: { Revoked: /^lem_/ } },
    ],
    [
      'taint_stale',
      async () => {
        const agent = await scene.service.onboard('tainted');
        await verb('tainted', 'taint', { reason: 'read a page of a stranger' });
        return scene.service.grpc(agent.writing());
      },
      {
        stage: 'Policy',
        why: /taint_stale/,
        facts: { 'Taint epoch': /^1, the proof's is 0 \(stale\)$/ },
        rule: /deny contains "taint_stale"/,
        event: /taint\s+read a page of a stranger/,
      },
    ],
    [
      'budget_exhausted',
      async () => {
        const agent = await scene.service.onboard('a-budget', { operations: 1 });
        await scene.service.grpc(agent.reading());
        return scene.service.grpc(agent.reading());
      },
      {
        stage: 'Policy',
        why: /budget_exhausted/,
        facts: { Budget: /^2 of 1, with this request$/ },
        rule: /not lib\.within_budget/,
      },
    ],
    [
      'pop_required',
      async () =>
        scene.service.grpc({ ...(await scene.service.onboard('unsigned')).reading(), method: 'PUT' }),
      {
        stage: 'Policy',
        why: /pop_required/,
        facts: { 'Request signed': /^no, by the credential alone$/ },
        rule: /deny contains "pop_required"/,
      },
    ],
    [
      'run_required',
      async () => {
        const agent = await scene.service.onboard('no-run');
        const { scheme, host, path } = request();
        const headers = signPop({
          ...{ method: 'DELETE', url: `${scheme}://${host}${path}`, created: Math.floor(Date.now() / 1000) },
          ...{ proof: proofOf(agent.reading()), seed: keyNamed('no-run').seed },
        });
        const lines = [...Object.entries(headers), ['content-length', '0'] as [string, string]];
        return scene.service.grpc(request({ method: 'DELETE', headers: lines }));
      },
      { stage: 'Policy', why: /run_required/, rule: /deny contains "run_required"/ },
    ],
    [
      'freshness_stale',
      async () => {
        const apart = await node('apart', PATIENT);
        const agent = await scene.service.onboard('stale');
        await eventually(async () => (await apart.ask(agent.writing())).verdict === 'allow');
        scene.service.signal('SIGSTOP');
        try {
          let last = await apart.ask(agent.writing());
          await eventually(async () => {
            last = await apart.ask(agent.writing());
            return last.verdict !== 'allow';
          });
          return last;
        } finally {
          scene.service.signal('SIGCONT');
        }
      },
      {
        stage: 'Policy',
        why: /freshness_stale/,
        facts: { 'Knew of stops': /^as of \d+(\.\d)? s before \(lease\)$/, Node: /^apart$/ },
        rule: /not fresh/,
      },
    ],
    [
      'overloaded',
      async () => {
        const narrow = await node('narrow', { concurrency: 1, queue: 0, queue_ms: 1 });
        const agent = await scene.service.onboard('crowd');
        let shed: Verdict | undefined;
        await eventually(async () => {
          const all = await Promise.all(Array.from({ length: 200 }, () => narrow.ask(agent.reading())));
          shed = all.find(({ verdict }) => verdict === 'overloaded');
          return shed !== undefined;
        });
        assert.ok(shed !== undefined);
        return shed;
      },
      {
        stage: 'Request',
        why: /more was asked .* Requests that share this decision: \d+/,
        facts: { Request: /^not read/ },
      },
    ],
    // The last: until then it has grown old.
    [
      'proof_expired',
      async () => {
        const ended = expiring.at(-1)?.expires_at ?? assert.fail();
        await sleep(Math.max(0, (ended + CLOCK_SKEW + 1) * 1000 - Date.now()));
        return scene.service.grpc(carrying(expiring));
      },
      { stage: 'Proof', why: /the run ended \d+ s ago/, link: 'Run' },
    ],
  ];

  for (const [reason, make, told] of cases)
    it(reason, async () => {
      const { verdict, decisionId } = await make();
      assert.equal(verdict, reason);
      await eventually(async () => {
        const { status } = await scene.service.control(
          `/api/wallet/runtimes/decisions/${decisionId}/explain`,
        );
        return status === 200;
      });
      await page.goto(`${scene.origin}${BASE}/decisions/${decisionId}`);
      await page.getByRole('region', { name: 'Verdict' }).waitFor();
      await page.locator('main .skeleton').first().waitFor({ state: 'detached' });
      const { stage, why, link = null, facts = {}, rule = null, event = null } = told;

      await page.getByRole('heading', { name: 'Denied', exact: true }).waitFor();
      const here = page.locator('ol.stages > li.denied-here');
      assert.deepEqual(await here.locator('.name').allInnerTexts(), [stage]);
      assert.match(await page.getByRole('region', { name: 'Verdict' }).locator('.summary').innerText(), why);
      await page.getByText('What to do:').waitFor();

      const failed = await page.locator('ol.chain > li.failed h3').allInnerTexts();
      assert.deepEqual(failed, link === null ? [] : [`${link} failed here`]);
      for (const [name, value] of Object.entries(facts)) {
        const found = await page
          .locator('dl.facts > div')
          .filter({ has: page.locator(`dt:text-is("${name}")`) });
        const values = await found.locator('dd').allInnerTexts();
        assert.ok(
          values.some((one) => value.test(one)),
          `${name}: ${values.join(', ')}`,
        );
      }
      if (event !== null)
        assert.match(await page.getByRole('list', { name: 'Events of this runtime' }).innerText(), event);

      if (rule === null) {
        await page.getByText('No policy was asked').waitFor();
        await page.getByText('there was nothing to evaluate again').waitFor();
      } else {
        await page.getByText('Evaluated again: equal').waitFor();
        const decided = page.getByRole('list', { name: 'Rules that decided' }).locator('> li').first();
        assert.match(await decided.innerText(), rule);
        assert.ok((await decided.locator('dl.facts > div').count()) > 0, 'no value stands beside the rule');
        const today = page.locator('section.card', { hasText: 'Under the active revision today' });
        assert.match(await today.innerText(), new RegExp(`deny\\s+${reason}\\s+as then`));
      }

      await page.getByRole('button', { name: 'Copy as Markdown' }).click();
      await page.getByRole('button', { name: 'Copied' }).waitFor();
      const markdown = String(await page.evaluate('navigator.clipboard.readText()'));
      assert.match(markdown, new RegExp(`^## Denied: \`${decisionId}\``));
      assert.match(markdown, new RegExp(`reason: \`${reason}\``));
      if (link !== null) assert.match(markdown, /\*\*failed\*\*/);
    });

  it('does nothing that its policy forbids', () => assert.deepEqual(scene.problems, []));
});
