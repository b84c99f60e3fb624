import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { chain, credential, header, keyNamed, keys, link, NOW, ORIGIN } from '../support/kit.ts';
import { lemma } from './lemma.ts';

const ISSUER = ['--issuer', toBase64url(keys.issuer.public)];
const AT = ['--at', String(NOW)];

describe('lemma proof', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-proof-'));
    writeFileSync(join(folder, 'good.json'), JSON.stringify(credential(chain())));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const data = (out: string) =>
    JSON.parse(out) as { data: Record<string, unknown>; error_code: string | null };

  it('inspect shows each link, root first, and that nothing was verified', async () => {
    const { code, out } = await lemma(folder, ['proof', 'inspect', 'good.json', '--json']);
    equal(code, 0);
    const { verified, links } = data(out).data as {
      verified: boolean;
      links: { type: string }[];
    };
    equal(verified, false);
    deepEqual(
      links.map(({ type }) => type),
      ['root', 'delegation', 'runtime'],
    );
  });

  it("verify takes the header's value too, and says what the proof reaches", async () => {
    writeFileSync(join(folder, 'value'), header(chain()));
    const { code, out } = await lemma(folder, ['proof', 'verify', 'value', ...ISSUER, ...AT, '--json']);
    equal(code, 0);
    deepEqual(data(out).data.audience, [ORIGIN]);
  });

  for (const [what, args, expected] of [
    ['for another issuer', ['--issuer', toBase64url(keys.delegate.public), ...AT], 'root_untrusted'],
    ['when it has expired', [...ISSUER, '--at', String(NOW + 86_400 * 400)], 'proof_expired'],
    ['for another audience', [...ISSUER, ...AT, '--audience', 'https://other.example'], 'audience_mismatch'],
    ['for a scope that it lacks', [...ISSUER, ...AT, '--scope', 'everything.else'], 'scope_denied'],
  ] as const)
    it(`verify fails ${what} with ${expected}`, async () => {
      const { code, out } = await lemma(folder, ['proof', 'verify', 'good.json', ...args, '--json']);
      deepEqual([code, data(out).error_code], [1, expected]);
    });

  for (const at of ['2026-02-31T00:00:00Z', '2026-10-01T24:00:00Z', '2026-10-01', 'tomorrow'])
    it(`verify refuses --at ${at}, which is no time of any calendar`, async () => {
      const { code, err } = await lemma(folder, ['proof', 'verify', 'good.json', ...ISSUER, '--at', at]);
      deepEqual([code, /--at must be an RFC 3339 time/.test(err)], [2, true]);
    });

  it('verify takes --at as RFC 3339 has it', async () => {
    const at = new Date(NOW * 1000).toISOString();
    const { code } = await lemma(folder, ['proof', 'verify', 'good.json', ...ISSUER, '--at', at]);
    equal(code, 0);
  });

  it('verify names the code of a link that was tampered with', async () => {
    const links = chain();
    const forged = [...links.slice(0, -1), { ...links.at(-1), scope: ['everything'] }];
    writeFileSync(join(folder, 'forged.json'), JSON.stringify(credential(forged)));
    const { code, out } = await lemma(folder, ['proof', 'verify', 'forged.json', ...ISSUER, ...AT, '--json']);
    deepEqual([code, data(out).error_code], [1, 'signature_invalid']);
  });

  it('names the file and what it lacks where there is no proof', async () => {
    const { code, err } = await lemma(folder, ['proof', 'inspect', 'nowhere.json']);
    equal(code, 1);
    match(err, /nowhere\.json/);
  });

  describe('narrow', () => {
    const now = Math.floor(Date.now() / 1000);
    beforeEach(() => {
      const key = keyNamed('laptop');
      const times = { issued_at: now - 60, not_before: now - 60, expires_at: now + 3600 };
      const root = link('root', null, keys.issuer, keys.operator, times);
      const delegation = link('delegation', root, keys.operator, keys.delegate, times);
      const runtime = link('runtime', delegation, keys.delegate, key, times);
      const write = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o600 });
      write('laptop.proof.json', JSON.stringify(credential([root, delegation, runtime])));
      write('laptop.key', toBase64url(key.seed));
    });
    const narrow = (...args: string[]) =>
      lemma(folder, [
        'proof',
        'narrow',
        '--data',
        '.',
        '--run-id',
        'job-1',
        '--operations',
        '3',
        ...args,
        '--json',
      ]);

    it('makes a run that verifies below the same issuer', async () => {
      const { code, out } = await narrow();
      equal(code, 0);
      const { proof } = data(out).data.files as { proof: string };
      const verified = await lemma(folder, ['proof', 'verify', proof, ...ISSUER, '--json']);
      equal(verified.code, 0);
      deepEqual(data(verified.out).data.types, ['root', 'delegation', 'runtime', 'run']);
    });

    it('cannot widen the scope', async () => {
      const { code, err, out } = await narrow('--scope', 'everything');
      equal(code, 2);
      match(`${err}${out}`, /scope/);
    });
  });
});
