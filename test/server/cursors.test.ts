import assert from 'node:assert/strict';
import { InputError } from '../../src/reason.ts';
import { type CursorScope, createCursors } from '../../src/server/cursors.ts';

const cursors = createCursors(new Uint8Array(32).fill(1));
const scope: CursorScope = {
  kind: 'decisions',
  org: 'acme',
  env: 'prod',
  asked: { verdict: 'deny', order: 'asc' },
};

describe('cursors', () => {
  it('give back their place', () => {
    assert.equal(cursors.open(scope, cursors.seal(scope, '12.7'), 'cursor'), '12.7');
  });

  it('hold whatever the order of the filters, and whether an absent one is named', () => {
    const same = { ...scope, asked: { order: 'asc', route: undefined, verdict: 'deny' } };
    assert.equal(cursors.open(same, cursors.seal(scope, '1.1'), 'cursor'), '1.1');
  });

  const others: [string, CursorScope][] = [
    ['another kind', { ...scope, kind: 'export' }],
    ['another org', { ...scope, org: 'other' }],
    ['another env', { ...scope, env: 'test' }],
    ['another order', { ...scope, asked: { verdict: 'deny', order: 'desc' } }],
    ['another filter', { ...scope, asked: { verdict: 'allow', order: 'asc' } }],
    ['one filter less', { ...scope, asked: { order: 'asc' } }],
    ['one filter more', { ...scope, asked: { verdict: 'deny', order: 'asc', runtime_id: 'x' } }],
  ];
  for (const [name, other] of others)
    it(`are none for ${name}`, () => {
      const cursor = cursors.seal(scope, '12.7');
      assert.throws(() => cursors.open(other, cursor, 'cursor'), InputError);
    });

  it('are none under another key', () => {
    const cursor = createCursors(new Uint8Array(32)).seal(scope, '12.7');
    assert.throws(() => cursors.open(scope, cursor, 'cursor'), InputError);
  });

  it('are none with any bit changed, and none when cut', () => {
    const bytes = Buffer.from(cursors.seal(scope, '12.7'), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = Buffer.from(bytes);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(
        () => cursors.open(scope, forged.toString('base64url'), 'cursor'),
        InputError,
        `bit ${bit}`,
      );
    }
    for (let length = 0; length < bytes.length; length++)
      assert.throws(
        () => cursors.open(scope, bytes.subarray(0, length).toString('base64url'), 'cursor'),
        InputError,
        `${length} bytes`,
      );
  });
});
