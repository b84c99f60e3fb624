import { deepEqual, equal } from 'node:assert/strict';
import fc from 'fast-check';
import {
  APPEND,
  type CheckResponseMessage,
  type HeaderOptionMessage,
  OVERWRITE,
  toStruct,
} from '../../src/schema/check.ts';
import { encodeCheckResponse } from '../../src/server/check-answer.ts';
import { checkMethod, loadProtos } from '../../src/server/proto.ts';

const { responseDeserialize, responseSerialize } = checkMethod(loadProtos());
const word = fc.string({ unit: 'binary' });

const option = fc.record({ key: word, value: word, more: fc.boolean() }).map(
  ({ key, value, more }): HeaderOptionMessage => ({
    header: { key, value },
    append: { value: more },
    append_action: more ? APPEND : OVERWRITE,
    keep_empty_value: true,
  }),
);
const metadata = fc
  .dictionary(
    fc.string().filter((name) => name !== '__proto__'),
    fc.jsonValue(),
  )
  .map(toStruct);
const allows = fc.record({
  status: fc.record({ code: fc.constant(0 as const), message: word }),
  ok_response: fc.record({
    headers: fc.array(option),
    headers_to_remove: fc.array(word),
    response_headers_to_add: fc.array(option),
  }),
  dynamic_metadata: metadata,
});
const denials = fc.record({
  status: fc.record({ code: fc.constantFrom(7 as const, 16 as const), message: word }),
  denied_response: fc.record({
    status: fc.record({ code: fc.integer({ min: 100, max: 599 }) }),
    headers: fc.array(option),
    body: word,
  }),
  dynamic_metadata: metadata,
});
const answers: fc.Arbitrary<CheckResponseMessage> = fc.oneof(allows, denials);

/** As the real definitions read it, with what is not sent as the value that it then has. */
function read(bytes: Buffer): unknown {
  return responseDeserialize(responseSerialize(responseDeserialize(bytes)));
}

/** protobufjs sends fields of value 0, which proto3 leaves out: without them both say the same. */
function plain(message: unknown): unknown {
  return JSON.parse(
    JSON.stringify(message, (_, value: unknown) =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && !('nullValue' in value)
        ? Object.fromEntries(Object.entries(value).filter(([key, v]) => /Value$/.test(key) || !isZero(v)))
        : value,
    ),
  );
}

function isZero(value: unknown): boolean {
  return value === 0 || value === '' || value === false || (Array.isArray(value) && value.length === 0);
}

describe('server/check-answer', () => {
  it('writes any answer so that the real definitions read it', () => {
    fc.assert(
      fc.property(answers, (answer) => {
        deepEqual(plain(read(encodeCheckResponse(answer))), plain(read(responseSerialize(answer))));
      }),
      { numRuns: 1000 },
    );
  });

  it('writes an answer of any size, and the next one whole', () => {
    const denial = (body: string): CheckResponseMessage => ({
      status: { code: 7, message: 'policy_denied' },
      denied_response: { status: { code: 403 }, headers: [], body },
      dynamic_metadata: toStruct({}),
    });
    const bodyOf = (size: number) => {
      const read = responseDeserialize(encodeCheckResponse(denial('b'.repeat(size)))) as {
        denied_response: { body: string };
      };
      return read.denied_response.body.length;
    };
    deepEqual([16_000, 16_383, 200_000, 3].map(bodyOf), [16_000, 16_383, 200_000, 3]);
  });

  it('keeps its own bytes when the next answer is written', () => {
    const answer = (message: string): CheckResponseMessage => ({
      status: { code: 0, message },
      ok_response: { headers: [], headers_to_remove: [], response_headers_to_add: [] },
      dynamic_metadata: toStruct({}),
    });
    const first = encodeCheckResponse(answer('allowed'));
    const before = first.toString('hex');
    encodeCheckResponse(answer('another'));
    equal(first.toString('hex'), before);
  });

  it('always says that it is an allow, or a denial, with a status', () => {
    fc.assert(
      fc.property(answers, (answer) => {
        const { status, ok_response, denied_response } = responseDeserialize(encodeCheckResponse(answer)) as {
          status?: { code?: number };
          ok_response?: object;
          denied_response?: object;
        };
        equal(status?.code ?? 0, answer.status.code);
        deepEqual(
          [ok_response !== undefined, denied_response !== undefined],
          [answer.status.code === 0, answer.status.code !== 0],
        );
      }),
    );
  });
});
