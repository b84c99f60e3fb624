import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FoundFirewall } from '../../../src/cli/local/control-channel.ts';
import { findingsOf, type PostureFacts, postureOf } from '../../../src/cli/local/posture.ts';
import { runtimeFiles } from '../../../src/cli/local/runtime-files.ts';
import type { FirewallStatus } from '../../../src/cli/local/status.ts';
import { decodeCredential } from '../../../src/proof/decode.ts';
import { NOW } from '../../support/kit.ts';
import { vectors } from '../../support/running.ts';
import { emptyFolder } from '../lemma.ts';

/** A credential of the recorded vectors. */
const HEADER = (() => {
  const named = vectors.cases.find(({ expect, level }) => expect === 'allow' && level === 'full');
  const line = named?.request.headers.find(([name]) => /^x-lemma-(credential|proof)$/i.test(name));
  return line?.[1] ?? '';
})();
const LINKS = decodeCredential(HEADER);
const RUNTIME = LINKS.find((link) => link.type === 'runtime');
const CLAIMS = RUNTIME?.type === 'runtime' ? RUNTIME.claims : null;
const ENDS = Math.min(...LINKS.map(({ expires_at }) => expires_at));
const ID = CLAIMS?.runtime_id ?? '';

const STATUS: FirewallStatus = {
  ...{ pid: 1, instance: 'A'.repeat(22), mode: 'node', listen: '127.0.0.1:8787' },
  ...{ control_plane: 'https://lemma.example.com', operator_key_file: null, data: '/', config: null },
  ...{ org: 'acme', env: 'prod', version: '0', started_at: '2026-01-01T00:00:00Z', uptime_s: 1 },
  connected: true,
  freshness: { age_ms: 10, source: 'lease', seq: 1 },
  apis: [
    {
      ...{ id: 'a', audience: 'https://a.example', scope: [], methods: ['GET'], path_prefixes: ['/'] },
      ...{ risk: 'low', taint_on_response: false },
    },
  ],
  proxy: false,
  runtimes: [{ runtime_id: ID, status: 'active', taint_epoch: CLAIMS?.taint_epoch ?? 0 }],
  policies: [],
  decisions: { allow: 0, deny: 0 },
};
const CONTAINED = { HTTP_PROXY: 'http://127.0.0.1:8787', HTTPS_PROXY: 'http://127.0.0.1:8787' };

describe('the posture of a machine', () => {
  let folder: ReturnType<typeof emptyFolder>;
  beforeEach(() => {
    folder = emptyFolder();
    write('proof.json', Buffer.from(HEADER, 'base64url').toString());
    write('key', 'AAAA');
  });
  afterEach(() => folder.remove());

  const write = (ending: string, text: string) =>
    writeFileSync(join(folder.path, `${ID}.${ending}`), text, { mode: 0o600 });

  function findings(over: { status?: Partial<FirewallStatus> | null } & Partial<PostureFacts> = {}) {
    const { status, ...facts } = over;
    const found = { running: true, status: { ...STATUS, ...status } } as unknown as FoundFirewall;
    return findingsOf({
      firewall: status === null ? null : found,
      runtime: runtimeFiles(folder.path, ID),
      env: CONTAINED,
      program: 'lemma',
      now: NOW * 1000,
      ...facts,
    });
  }
  const codes = (over: Parameters<typeof findings>[0]) =>
    findings(over).map(({ level, code }) => `${level} ${code}`);

  it('is safe when everything is in its place', () => {
    assert.deepEqual([findings(), postureOf(findings())], [[], 'safe']);
  });

  it('is as bad as the worst that was found', () => {
    const found = findings({ status: null, env: { LEMMA_API_KEY: 'x' } });
    assert.deepEqual([found[0]?.level, postureOf(found)], ['unsafe', 'unsafe']);
  });

  for (const [code, over] of [
    ['unsafe firewall_not_running', { status: null }],
    ['unsafe firewall_exposed', { status: { listen: '0.0.0.0:8787' } }],
    ['degraded control_plane_lost', { status: { connected: false } }],
    ['degraded feed_stale', { status: { freshness: { age_ms: 31_000, source: 'lease', seq: 1 } } }],
    ['degraded no_apis', { status: { apis: [] } }],
    ['degraded proof_missing', { runtime: null }],
    ['degraded proof_expired', { now: (ENDS + 3600) * 1000 }],
    ['degraded proof_expiring', { now: (ENDS - 60) * 1000 }],
    ['degraded runtime_unknown', { status: { runtimes: [] } }],
    [
      'degraded runtime_killed',
      { status: { runtimes: [{ runtime_id: ID, status: 'killed', taint_epoch: 0 }] } },
    ],
    [
      'degraded runtime_inactive',
      { status: { runtimes: [{ runtime_id: ID, status: 'inactive', taint_epoch: 0 }] } },
    ],
    [
      'degraded taint_stale',
      { status: { runtimes: [{ runtime_id: ID, status: 'active', taint_epoch: 99 }] } },
    ],
    ['degraded secret_in_environment', { env: { ...CONTAINED, LEMMA_OPERATOR_KEY: 'x' } }],
    ['degraded proxy_unset', { env: {} }],
    ['degraded proxy_unset', { env: { ...CONTAINED, HTTPS_PROXY: 'http://127.0.0.1:3128' } }],
    ['degraded proxy_exceptions', { env: { ...CONTAINED, NO_PROXY: '*' } }],
  ] as const) {
    it(`tells ${code}`, () => {
      assert.deepEqual(codes(over), [code]);
    });
  }

  it('tells a key that others can read', () => {
    chmodSync(join(folder.path, `${ID}.key`), 0o644);
    assert.deepEqual(codes({}), ['unsafe key_exposed']);
  });

  it('tells a proof that others can read', () => {
    chmodSync(join(folder.path, `${ID}.proof.json`), 0o644);
    assert.deepEqual(codes({}), ['unsafe proof_unusable']);
  });

  it('tells a proof that is none', () => {
    write('proof.json', '{"v":1}');
    assert.deepEqual(codes({}), ['degraded schema_invalid']);
  });

  it('says what to do about each', () => {
    const all = [findings({ status: null, env: {} }), findings({ runtime: null, env: {} })].flat();
    assert.deepEqual(
      all.filter(({ mend }) => mend === ''),
      [],
    );
  });
});
