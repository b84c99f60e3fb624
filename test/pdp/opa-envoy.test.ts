import assert from 'node:assert/strict';
import { policyDocument, type Wishes } from '../../src/pdp/opa-envoy.ts';
import type { PolicyInput } from '../../src/schema/input.ts';
import { envoyViewSchema, opaEnvoyInputSchema } from '../../src/schema/opa-envoy-input.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { checker } from '../../src/schema/validate.ts';
import { allowedInput, merged } from '../policy/support.ts';

const REQUEST = {
  border: 'grpc',
  host: 'api.example.com:443',
  extensions: { where: 'edge' },
} as unknown as AuthzRequest;
const PLAIN: Wishes = { envoy: false, redact: [] };
const ADAPTER: Wishes = { adapter: 'opa-envoy', envoy: true, redact: [] };

const inputWith = (request: object) => merged(allowedInput('low'), { request }) as unknown as PolicyInput;
const documentOf = (request: object, wishes = ADAPTER, query = '') =>
  policyDocument(inputWith(request), REQUEST, query, wishes);

const checkView = checker(envoyViewSchema);
const checkAll = checker(opaEnvoyInputSchema);

describe('the document that a policy gets', () => {
  it("is the contract's input, where the bundle asks for no more", () => {
    const input = inputWith({});
    assert.equal(policyDocument(input, REQUEST, '', PLAIN), input);
  });

  it("has Envoy's view in `envoy`, where the bundle asks for that", () => {
    const { envoy, ...rest } = documentOf({}, { ...PLAIN, envoy: true });
    assert.deepEqual([rest, checkView(envoy).ok], [inputWith({}), true]);
  });

  it("has the view's members beside the contract's behind the adapter, as its schema says", () => {
    const document = documentOf({});
    assert.deepEqual(checkAll(document), { ok: true, value: document });
    const {
      attributes: _a,
      parsed_path: _p,
      parsed_query: _q,
      parsed_body: _b,
      truncated_body: _t,
      version: _v,
      ...rest
    } = document;
    assert.deepEqual(rest, inputWith({}));
  });

  it('is that behind the adapter, whether the bundle asks for the view or not', () => {
    assert.deepEqual(documentOf({}, { ...ADAPTER, envoy: false }), documentOf({}));
  });

  it('has the host as it came, and the context extensions', () => {
    const { attributes } = documentOf({});
    assert.deepEqual(
      [
        attributes?.request.http.host,
        attributes?.request.http.headers[':authority'],
        attributes?.contextExtensions,
      ],
      ['api.example.com:443', 'api.example.com:443', { where: 'edge' }],
    );
  });

  it('has the JSON of the body', () => {
    const { parsed_body, truncated_body } = documentOf({ body: { state: 'complete', json: { a: [1] } } });
    assert.deepEqual([parsed_body, truncated_body], [{ a: [1] }, false]);
  });

  for (const state of ['truncated', 'unseen']) {
    it(`has no body where it was not seen whole (${state})`, () => {
      const { parsed_body, truncated_body } = documentOf({ body: { state } });
      assert.deepEqual([parsed_body, truncated_body], [null, true]);
    });
  }

  it('has the path in its segments, each decoded by itself, an empty one at the end', () => {
    const { parsed_path } = documentOf({ path: '/a%2Fb/%5Bc/%zz/', segments: ['a%2Fb', '%5Bc', '%zz', ''] });
    assert.deepEqual(parsed_path, ['a/b', '[c', '%zz', '']);
  });

  it('says that it has the members of external authorization v3', () => {
    assert.deepEqual(documentOf({}).version, { ext_authz: 'v3', encoding: 'protojson' });
  });

  it('has no query where none came, whatever is taken out', () => {
    const { attributes } = documentOf({ path: '/a' }, { ...ADAPTER, redact: ['query.token'] });
    assert.equal(attributes?.request.http.path, '/a');
  });

  it('has the query as it came where something else is taken out', () => {
    const wishes = { ...ADAPTER, redact: ['body.secret'] };
    const { attributes } = documentOf({ path: '/a', query: { b: ['c+d'] } }, wishes, '?b=c%2bd&');
    assert.equal(attributes?.request.http.path, '/a?b=c%2bd&');
  });

  it('has the query as it came', () => {
    const { attributes } = documentOf({ path: '/a', query: { b: ['c+d'] } }, ADAPTER, '?b=c%2bd&');
    assert.equal(attributes?.request.http.path, '/a?b=c%2bd&');
  });

  it('has the query without what was taken out', () => {
    const redacting = { ...ADAPTER, redact: ['query.token'] };
    const path = (query: object) =>
      documentOf({ path: '/a', query }, redacting, '?token=secret&b=1').attributes?.request.http.path;
    assert.deepEqual([path({ b: ['1', '&'] }), path({})], ['/a?b=1&b=%26', '/a']);
  });

  it('leaves out who is not known', () => {
    const source = (address: string, principal: string) =>
      documentOf({ source: { address, principal } }).attributes?.source;
    assert.deepEqual(source('', ''), {});
    assert.deepEqual(source('::1', 'spiffe://a/b'), {
      address: { socketAddress: { address: '::1' } },
      principal: 'spiffe://a/b',
    });
  });
});
