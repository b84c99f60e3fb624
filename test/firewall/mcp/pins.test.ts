import { deepEqual, equal } from 'node:assert/strict';
import fc from 'fast-check';
import { NO_PINS } from '../../../src/firewall/mcp/pin-file.ts';
import { approved, compare, type Described, digestOf } from '../../../src/firewall/mcp/pins.ts';

const NOW = '2026-11-26T00:00:00.000Z';
const configured = new Map([['read', null]]);
const read = (description: string): Described => ({ name: 'read', description });
const names = (
  tools: readonly Described[],
  pins = NO_PINS,
  named: ReadonlyMap<string, string | null> = configured,
) => compare(pins, 'files', tools, named, NOW);

describe('firewall/mcp pins', () => {
  it('take the first description, and withhold another', () => {
    const first = names([read('a')]);
    deepEqual([...first.good], ['read']);
    deepEqual([...names([read('b')], first.pins).good], []);
  });

  it('take no other than the configuration names, not even first', () => {
    const named = new Map([['read', digestOf(read('a'))]]);
    deepEqual([...names([read('b')], NO_PINS, named).good], []);
    deepEqual([...names([read('a')], NO_PINS, named).good], ['read']);
  });

  it('are void for what a tool no longer says', () => {
    const first = names([read('a')]).pins;
    const second = names([read('b')], first).pins;
    const third = names([read('c')], second).pins;
    equal(approved(third, 'files', 'read', digestOf(read('b')), NOW), null);
  });

  it('remember nothing of tools that are not configured', () => {
    equal(names([{ name: 'wipe' }]).pins, NO_PINS);
  });

  it('tell a changed member of the description from an order of members', () => {
    const one = { name: 'read', inputSchema: { type: 'object', properties: { a: {}, b: {} } } };
    const other = { inputSchema: { properties: { b: {}, a: {} }, type: 'object' }, name: 'read' };
    equal(digestOf(one), digestOf(other));
  });

  it('never list a description that was not the first, approved or named', () => {
    const texts = fc.array(fc.constantFrom('a', 'b', 'c', 'approve'), { maxLength: 20 });
    fc.assert(
      fc.property(texts, (steps) => {
        let pins = NO_PINS;
        let taken: string | null = null;
        let last = 'a';
        for (const step of steps) {
          if (step === 'approve') {
            const after = approved(pins, 'files', 'read', digestOf(read(last)), NOW);
            if (after !== null) taken = last;
            pins = after ?? pins;
            continue;
          }
          last = step;
          const result = names([read(step)], pins);
          pins = result.pins;
          taken ??= step;
          equal(result.good.has('read'), step === taken);
        }
      }),
    );
  });
});
