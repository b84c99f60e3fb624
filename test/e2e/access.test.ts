import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publicKeyOf } from '#runtime';
import { fromBase64url, toBase64url } from '../../src/crypto/base64url.ts';
import { operatorSeed, subjectOf } from '../../src/proof/ppid.ts';
import { type SignIn, signSignIn } from '../../src/proof/sign-in.ts';
import { request } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

const RUNTIMES = '/api/wallet/runtimes';

/** The site of a service on this machine without public_url. */
function siteOf({ app }: Running): string {
  return `http://localhost:${app.addresses.control.split(':').at(-1)}`;
}

/** Signs in as a browser does, with the wallet that the service made for its owner. */
async function signIn(service: Running) {
  const root = readFileSync(join(service.folder, '.lemma', 'keys', 'operator-root.key'), 'utf8').trim();
  const secret = fromBase64url(root) ?? new Uint8Array();
  const seed = operatorSeed(secret, 'localhost', 0);
  const who = { subject: subjectOf(secret, 'localhost'), key: toBase64url(publicKeyOf(seed)) };
  const origin = siteOf(service);
  const base = `${origin}/api/wallet/session`;
  const headers = { origin, 'content-type': 'application/json' };
  const given = await (await fetch(`${base}/challenge`, { method: 'POST', headers, body: '{}' })).json();
  const { challenge, expires_at, org, env } = given as SignIn;
  const signature = signSignIn({ origin, org, env, challenge, expires_at, ...who }, seed);
  const body = JSON.stringify({ ...who, challenge, signature });
  const response = await fetch(base, { method: 'POST', headers, body });
  const { csrf_token } = (await response.json()) as { csrf_token: string };
  const cookie = String(response.headers.get('set-cookie')).split(';')[0] ?? '';
  return { ...headers, cookie, 'x-csrf-token': csrf_token };
}

describe('who may call a running service', () => {
  let folder: string;
  let service: Running;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-access-'));
    service = await running({ folder, clock: () => Math.floor(Date.now() / 1000) });
  });
  afterEach(async () => {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = async (path: string, headers: Record<string, string>, body?: object) => {
    const response = await fetch(`${siteOf(service)}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const restart = async () => {
    await service.stop();
    service = await running({ folder, clock: () => Math.floor(Date.now() / 1000) });
  };

  it('is known again after a restart: sessions and API keys live on, what was revoked does not', async () => {
    const session = await signIn(service);
    const make = async () => {
      const made = await ask('/api/wallet/api-keys', session, { name: 'ci', permissions: ['runtimes.read'] });
      return made.body as { token: string; api_key: { id: string } };
    };
    const [kept, revoked] = [await make(), await make()];
    await ask(`/api/wallet/api-keys/${revoked.api_key.id}/revoke`, session, {});
    await restart();
    const { origin: _, ...after } = session;
    const statuses = await Promise.all([
      ask(RUNTIMES, after),
      ask(RUNTIMES, { 'x-api-key': kept.token }),
      ask(RUNTIMES, { 'x-api-key': revoked.token }),
    ]);
    assert.deepEqual(
      statuses.map(({ status }) => status),
      [200, 200, 401],
    );
    const { entries } = (await ask('/api/wallet/audit', after)).body as { entries: { what: string }[] };
    assert.deepEqual(
      entries.map(({ what }) => what),
      ['revokeApiKey', 'createApiKey', 'createApiKey', 'signIn'],
    );
  });

  it('does not matter to the lane that decides and kills, however many strangers knock', async () => {
    const session = await signIn(service);
    await service.control(`${RUNTIMES}/bootstrap`, {
      runtime_id: 'bot-9',
      agent_id: 'bot',
      workspace_id: 'main',
    });
    const knock = (i: number) =>
      i % 2 === 0
        ? ask(RUNTIMES, { 'x-api-key': `lm_ak_${String(i).padStart(51, 'A')}` })
        : ask('/api/wallet/session/challenge', { 'content-type': 'application/json' }, {});
    const knocks = Promise.all(Array.from({ length: 400 }, (_, i) => knock(i)));
    const [verdict, killed, bySession, answers] = await Promise.all([
      service.grpc(request({ headers: [] })),
      service.control(`${RUNTIMES}/bot-9/kill`, {}),
      ask(RUNTIMES, session),
      knocks,
    ]);
    assert.deepEqual(
      [verdict.verdict, killed.status, killed.body.enforced, bySession.status],
      ['auth_required', 200, true, 200],
    );
    const limited = answers.filter(({ status }) => status === 429);
    // Guessed keys are counted; a challenge, which keeps nothing here, is not.
    assert.ok(limited.length > 150, `${limited.length} of 200`);
  });
});
