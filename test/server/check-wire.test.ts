import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import fc from 'fast-check';
import { toRequest } from '../../src/request/envoy.ts';
import type { CheckRequestMessage } from '../../src/schema/check.ts';
import { decodeCheckRequest } from '../../src/server/check-wire.ts';
import { checkMethod, loadProtos } from '../../src/server/proto.ts';
import { REAL_BYTES } from '../support/envoy.ts';

const { requestSerialize, requestDeserialize } = checkMethod(loadProtos());
const word = fc.string({ unit: 'binary' });
const texts = fc
  .array(
    fc.tuple(
      fc.string().filter((name) => name !== '__proto__'),
      word,
    ),
  )
  .map((entries) => Object.fromEntries(entries) as Record<string, string>);

/** Every member that `proto/` has and the real Envoy fills, among them those that Lemma passes over. */
const checkRequests = fc.record(
  {
    source: fc.record(
      {
        address: fc.oneof(
          fc.record({ socket_address: fc.record({ address: word, port_value: fc.nat() }) }),
          fc.record({ pipe: fc.record({ path: word, mode: fc.nat() }) }),
        ),
        service: word,
        labels: texts,
        principal: word,
        certificate: word,
      },
      { requiredKeys: [] },
    ),
    destination: fc.record({ principal: word }),
    request: fc.record({
      time: fc.record({ seconds: fc.nat(), nanos: fc.nat() }),
      http: fc.record(
        {
          id: word,
          method: word,
          headers: texts,
          header_map: fc.record({
            headers: fc.array(fc.record({ key: word, value: word, raw_value: fc.uint8Array() })),
          }),
          path: word,
          host: word,
          scheme: word,
          query: word,
          size: fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER }),
          protocol: word,
          body: word,
          raw_body: fc.uint8Array(),
        },
        { requiredKeys: [] },
      ),
    }),
    context_extensions: texts,
    tls_session: fc.record({ sni: word }),
  },
  { requiredKeys: [] },
);

/** The members of a map have no order on the wire, and a view of bytes is as good as a copy. */
function read(message: CheckRequestMessage) {
  const request = toRequest(message);
  const seen = request.body.seen === null ? null : Buffer.from(request.body.seen).toString('hex');
  return { ...request, body: { ...request.body, seen }, headers: request.headers.map(String).sort() };
}

describe('server/check-wire', () => {
  it('reads what the real definitions wrote as the real definitions do', () => {
    for (const name of ['request_raw', 'request_joined'] as const) {
      const bytes = Buffer.from(REAL_BYTES[name], 'hex');
      deepEqual(read(decodeCheckRequest(bytes)), read(requestDeserialize(bytes) as CheckRequestMessage));
    }
  });

  it('reads any message as protobufjs does', () => {
    fc.assert(
      fc.property(checkRequests, (attributes) => {
        const bytes = requestSerialize({ attributes });
        deepEqual(read(decodeCheckRequest(bytes)), read(requestDeserialize(bytes) as CheckRequestMessage));
      }),
      { numRuns: 500 },
    );
  });

  it('reads a message or throws RangeError, whatever the bytes', () => {
    const change = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(checkRequests, change, fc.nat(), (attributes, changes, cut) => {
        const bytes = requestSerialize({ attributes });
        for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        const shorter = bytes.subarray(0, bytes.length - (cut % (bytes.length + 1)));
        try {
          toRequest(decodeCheckRequest(shorter));
        } catch (error) {
          ok(error instanceof RangeError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('merges a message that comes in parts, and takes the last of a field that comes twice', () => {
    const part = (http: object) => requestSerialize({ attributes: { request: { http } } });
    const line = (key: string) => ({ headers: [{ key, raw_value: Buffer.from('v') }] });
    const bytes = Buffer.concat([
      part({ method: 'GET', path: '/a', headers: { a: '1' }, header_map: line('c') }),
      part({ path: '/b', headers: { b: '2' }, header_map: line('d') }),
    ]);
    const { method, target, headers } = toRequest(decodeCheckRequest(bytes));
    deepEqual([method, target, headers.map(([name]) => name)], ['GET', '/b', ['a', 'b', 'c', 'd']]);
  });

  it('keeps a header named as a member of every object', () => {
    const named = requestSerialize({ attributes: { request: { http: { headers: { xxproto__: 'v' } } } } });
    const bytes = Buffer.from(named.toString('latin1').replace('xxproto__', '__proto__'), 'latin1');
    deepEqual(toRequest(decodeCheckRequest(bytes)).headers, [['__proto__', 'v']]);
  });

  it('reads a size of -1 as unknown', () => {
    const bytes = requestSerialize({ attributes: { request: { http: { size: -1 } } } });
    equal(decodeCheckRequest(bytes).attributes?.request?.http?.size, -1);
  });

  for (const [what, hex] of [
    ['a field that ends beyond the message', '0a05'],
    ['a number without end', '0affffffffffffffffffff01'],
    ['a group', '0b'],
    ['a field without a number', '00'],
    ['a fixed field that is cut', '0d0000'],
  ] as const) {
    it(`refuses ${what}`, () => throws(() => decodeCheckRequest(Buffer.from(hex, 'hex')), RangeError));
  }
});
