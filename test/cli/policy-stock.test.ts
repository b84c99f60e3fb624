import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeTar } from '../../src/policy/tar.ts';
import type { OpaAlgorithm } from '../../src/schema/bundle.ts';
import { PATIENT_MS } from '../policy/compiler/support.ts';
import { ENTRYPOINT, manifest, PEOPLE } from '../policy/opa-envoy-policies.ts';
import { buildStock, OPA_KEYS } from '../policy/stock-opa.ts';
import { allowedInput, merged } from '../policy/support.ts';
import { opaFolder } from '../support/opa.ts';
import { lemma } from './lemma.ts';

describe('lemma policy, of bundles of stock `opa build`', function () {
  this.timeout(PATIENT_MS);
  const opa = opaFolder();

  const policy = (...args: string[]) => lemma(opa.path, ['policy', ...args]);
  const asJson = async (...args: string[]) =>
    JSON.parse((await policy(...args, '--json')).out) as {
      error_code: string | null;
      data: Record<string, unknown>;
    };
  const write = (name: string, content: string | Uint8Array) => writeFileSync(join(opa.path, name), content);
  async function build(name: string, rego: string, algorithm: OpaAlgorithm): Promise<void> {
    const files = await buildStock(opa, {
      files: { '.manifest': manifest(), 'authz.rego': rego },
      entrypoints: [ENTRYPOINT],
      algorithm,
    });
    write(name, gzipSync(writeTar(files)));
    write(`${algorithm}.pub`, String(OPA_KEYS[algorithm].publicKey.export({ type: 'spki', format: 'pem' })));
  }

  before(async () => {
    await build('low.tar.gz', PEOPLE, 'RS256');
    await build('other.tar.gz', PEOPLE, 'EdDSA');
    const decodes = `package envoy.authz

allow if yes

yes if io.jwt.decode(input.parsed_query.token[0])[1].role == "admin"
`;
    await build('decodes.tar.gz', decodes, 'RS256');
  });

  for (const [file, algorithm] of [
    ['low.tar.gz', 'RS256'],
    ['other.tar.gz', 'EdDSA'],
  ] as const) {
    it(`verify believes what OPA signed (${algorithm})`, async () => {
      const { data } = await asJson('verify', file, '--opa-key', `${algorithm}.pub`);
      const [found] = data.bundles as Record<string, unknown>[];
      assert.deepEqual([found?.name, found?.revision, found?.keyid], ['low', 'r1', 'default']);
    });
  }

  it('verify does not believe another key', async () => {
    const { error_code } = await asJson('verify', 'low.tar.gz', '--opa-key', 'EdDSA.pub');
    assert.equal(error_code, 'bundle_rejected');
  });

  it('verify says what the service would refuse, by line', async () => {
    const { code, err } = await policy('verify', 'decodes.tar.gz', '--opa-key', 'RS256.pub');
    assert.equal(code, 1);
    assert.match(err, /authz\.rego:\d+: calls io\.jwt\.decode, .*read input\.proof/);
  });

  it("inspect tells that OPA's signature is there, and what it stands behind", async () => {
    const { data } = await asJson('inspect', 'low.tar.gz');
    const [found] = data.bundles as { signature: object; meta: { adapter: string } }[];
    assert.deepEqual([found?.signature, found?.meta.adapter], [{ state: 'opa' }, 'opa-envoy']);
  });

  it('inspect finds it in a folder of bundles', async () => {
    const { data } = await asJson('inspect', '.');
    assert.deepEqual(
      (data.bundles as { name: string }[]).map(({ name }) => name),
      ['low'],
    );
  });

  it('eval asks it, and says which input the service would not send', async () => {
    const view = {
      attributes: {
        source: {},
        request: {
          time: '2026-11-26T08:00:00Z',
          http: { method: 'GET', headers: {}, path: '/v1/documents/7', host: '', scheme: '', protocol: '' },
        },
        contextExtensions: {},
      },
      parsed_path: ['v1', 'documents', '7'],
      parsed_query: {},
      parsed_body: null,
      truncated_body: false,
      version: {},
    };
    write('input.json', JSON.stringify(merged(allowedInput('low'), view)));
    write('plain.json', JSON.stringify(allowedInput('low')));
    const ask = (input: string) =>
      policy('eval', '--profile', 'low', '--bundle', 'low.tar.gz', '--input', input);
    const [whole, plain] = [await ask('input.json'), await ask('plain.json')];
    assert.match(whole.out, /"allow": true/);
    assert.deepEqual(
      [/warning/.test(whole.err), /no such input: attributes: missing/.test(plain.err)],
      [false, true],
    );
  });

  it('schema gives what `opa check -s` takes', async () => {
    const { data } = await asJson('schema', '--adapter', 'opa-envoy');
    assert.ok('parsed_path' in (data.properties as object));
    assert.equal((await policy('schema', '--adapter', 'other')).code, 2);
  });
});
