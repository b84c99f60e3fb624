import { equal, ok } from 'node:assert/strict';
import { fromBase64, fromBase64url, toBase64, toBase64url } from '../../../src/crypto/base64url.ts';
import { verifyChain } from '../../../src/proof/chain.ts';
import { decodeCredential } from '../../../src/proof/decode.ts';
import { createTrust } from '../../../src/proof/trust.ts';
import { Denial } from '../../../src/reason.ts';
import { keys } from '../../support/kit.ts';
import { latin1, type Target } from '../target.ts';

const trust = createTrust([{ org: 'acme', env: 'prod', keys: [{ x: toBase64url(keys.issuer.public) }] }]);
const DECODING = new Set([
  'encoding_invalid',
  'json_duplicate_key',
  'version_unsupported',
  'schema_invalid',
  'chain_too_deep',
  'chain_incomplete',
  'chain_order_invalid',
]);

/** A header's value, or, where the input begins with a brace, the JSON in it. */
export const credential: Target = {
  name: 'credential',
  maxBytes: 6_000,
  words: [
    '{"v":1,',
    '"type":"root"',
    '"type":"run"',
    '"chain":[',
    '"claims":{',
    '"scope":["a.*"]',
    '"audience":["https://a.example"]',
    '"parent":"',
    '"bounds":{"methods":["GET"]}',
    '"path_prefixes":["/v1"]',
    '"budget":{"operations":1}',
    'null',
    '[]',
    '{}',
    '-1',
    '1e3',
    '"__proto__":{},',
    '\\u0076',
    '=',
    '-',
    '_',
    '+',
    '/',
    'did:lemma:ppid_',
  ],
  run(input) {
    const text = latin1(input);
    checkBase64(text);
    const value = text.startsWith('{') ? toBase64url(input) : text;
    let links: ReturnType<typeof decodeCredential>;
    try {
      links = decodeCredential(value);
    } catch (error) {
      if (!(error instanceof Denial)) throw error;
      ok(DECODING.has(error.code), `${error.code} of decoding`);
      return;
    }
    try {
      const chain = verifyChain(links, trust);
      equal(chain.root.issuer, keys.issuer.id);
    } catch (error) {
      if (!(error instanceof Denial)) throw error;
      ok(!DECODING.has(error.code), `${error.code} of verifying`);
    }
  },
};

function checkBase64(text: string): void {
  const url = fromBase64url(text);
  if (url !== null) {
    equal(toBase64url(url), text, 'not canonical');
    equal(Buffer.from(text, 'base64url').equals(url), true, 'other bytes than those of Buffer');
  }
  const standard = fromBase64(text);
  if (standard !== null) equal(toBase64(standard), text, 'not canonical');
}
