import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
// By the names that it is published under: the route imports it so, and it is one module.
import { configureTrust } from 'lemma-authz/express';
import { chain, credential, header, NOW, ORIGIN, SUBJECT } from '../support/kit.ts';
import { vectors } from '../support/running.ts';

const CLIENT = fileURLToPath(new URL('./seeds/runtime-client.mjs', import.meta.url));
const ROUTE = './seeds/protected-route.mjs';
const APPLICATION = './seeds/application.mjs';

/** Stands in for the name service: the example's API is the one that runs here. */
const HERE = `data:text/javascript,${encodeURIComponent(
  `const real = fetch; globalThis.fetch = async (url, init) => {
    const response = await real(String(url).replace('${ORIGIN}', process.env.API), init);
    console.log(JSON.stringify({ status: response.status, body: await response.clone().json() }));
    return response;
  };`,
)}`;

describe('the documentation’s two examples, as they stand', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lemma-seeds-'));
  let server: Server;
  let api: string;

  before(async () => {
    const trust = vectors.trust as Parameters<typeof configureTrust>[0]['trust'];
    configureTrust({ trust, audience: ORIGIN, clock: () => NOW * 1000 });
    const { app } = (await import(APPLICATION)) as { app: RequestListener };
    await import(ROUTE);
    server = createServer(app).listen(0, '127.0.0.1');
    await once(server, 'listening');
    api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function runtimeClient(proof: object): Promise<{ status: number; body: unknown }> {
    const file = join(folder, 'proof.json');
    writeFileSync(file, JSON.stringify(proof), { mode: 0o600 });
    const env = { PATH: process.env.PATH, API: api, LEMMA_PROOF_FILE: file };
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', HERE, CLIENT], { env });
    return JSON.parse(stdout) as { status: number; body: unknown };
  }

  it('the client sends its proof, and the route lets it act', async () => {
    assert.deepEqual(await runtimeClient(credential(chain())), {
      status: 200,
      body: { success: true, actor: SUBJECT },
    });
  });

  it('the route refuses a proof that is signed by nobody it trusts', async () => {
    const forged = { ...credential(chain()), subject: `did:lemma:ppid_${'0'.repeat(64)}` };
    assert.deepEqual(await runtimeClient(forged), {
      status: 401,
      body: { success: false, error: 'invalid_lemma' },
    });
  });

  it('the route asks for one', async () => {
    const response = await fetch(`${api}/api/agent/run`, { method: 'POST' });
    assert.equal(response.status, 401);
    assert.deepEqual(await response.json(), { success: false, error: 'auth_required' });
  });
});

describe('verifyCredentialWithTrust', () => {
  const trust = {
    trust: vectors.trust as Parameters<typeof configureTrust>[0]['trust'],
    audience: ORIGIN,
    clock: () => NOW * 1000,
  };
  const verify = async (given: unknown, more: object = {}) => {
    const { verifyCredentialWithTrust } = await import('lemma-authz/fastify');
    const verification = await verifyCredentialWithTrust(given, { trust, ...more });
    return verification.valid ? 'valid' : verification.error;
  };
  const bounded = () =>
    credential(chain({ runtime: { claims: { bounds: { methods: ['GET'], path_prefixes: ['/v1'] } } } }));

  const cases: readonly (readonly [string, () => unknown, string, object?])[] = [
    ['a chain that holds', () => credential(chain()), 'valid'],
    ['one of a run', () => credential(chain({ run: {} })), 'valid'],
    ['the header’s text instead of its JSON', () => header(chain()), 'encoding_invalid'],
    ['nothing', () => null, 'encoding_invalid'],
    ['an unknown member', () => ({ ...credential(chain()), more: 1 }), 'schema_invalid'],
    ['no chain', () => ({ ...credential(chain()), chain: [] }), 'chain_incomplete'],
    ['one that has ended', () => credential(chain({ runtime: { expires_at: NOW } })), 'proof_expired'],
    [
      'one for another audience',
      () => credential(chain()),
      'audience_mismatch',
      { trust: { ...trust, audience: 'https://pay.example.com' } },
    ],
    ['a scope that is not granted', () => credential(chain()), 'scope_denied', { scope: ['pay.send'] }],
    ['a scope that is', () => credential(chain()), 'valid', { scope: ['documents.read'] }],
    [
      'one that needs a PoP',
      () => credential(chain({ delegation: { claims: { bounds: { pop: true } } } })),
      'pop_required',
    ],
    ['one with bounds, for no request', bounded, 'bounds_exceeded'],
    ['one with bounds, within them', bounded, 'valid', { request: { method: 'GET', path: '/v1/a' } }],
    [
      'one with bounds, beyond them',
      bounded,
      'bounds_exceeded',
      { request: { method: 'PUT', path: '/v1/a' } },
    ],
  ];
  for (const [name, given, verdict, more] of cases) {
    it(`says ${verdict} of ${name}`, async () => assert.equal(await verify(given(), more), verdict));
  }

  it('says so anew each time: what ends is not remembered', async () => {
    let now = NOW;
    const moving = { ...trust, clock: () => now * 1000 };
    const given = credential(chain({ runtime: { expires_at: NOW + 10 } }));
    assert.equal(await verify(given, { trust: moving }), 'valid');
    now += 10;
    assert.equal(await verify(given, { trust: moving }), 'proof_expired');
  });

  it('is an error where nobody said whom to trust', async () => {
    // A module of its own, which nobody has configured.
    const fresh = '../../src/client/verify.ts?unconfigured';
    const { verifyCredentialWithTrust } = (await import(fresh)) as {
      verifyCredentialWithTrust(given: unknown): Promise<unknown>;
    };
    await assert.rejects(verifyCredentialWithTrust(credential(chain())), /configureTrust/);
  });
});
