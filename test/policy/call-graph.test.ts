import assert from 'node:assert/strict';
import fc from 'fast-check';
import { recursionHeads } from '../../src/policy/call-graph.ts';

type Graph = readonly { readonly calls: readonly number[]; readonly indirect?: boolean }[];

function headsOf(graph: Graph, inTables: readonly number[] = [], imported = 0): ReadonlySet<number> {
  const outlines = graph.map(({ calls, indirect = false }) => ({
    entry: { at: 0, length: 0 },
    loops: [],
    returns: [],
    calls,
    callsIndirectly: indirect,
  }));
  return recursionHeads({ outlines, imported, inTables });
}

/** Whether calls can go round without passing a head. */
function goesRound(graph: Graph, inTables: readonly number[], heads: ReadonlySet<number>): boolean {
  const left = new Set(graph.keys());
  for (const head of heads) left.delete(head);
  const callees = (node: number) => [
    ...(graph[node]?.calls ?? []),
    ...(graph[node]?.indirect === true ? inTables : []),
  ];
  for (let size = -1; size !== left.size; ) {
    size = left.size;
    for (const node of left) if (!callees(node).some((callee) => left.has(callee))) left.delete(node);
  }
  return left.size > 0;
}

describe('recursion in a call graph', () => {
  it('is not in a chain', () => {
    assert.deepEqual(headsOf([{ calls: [1, 2] }, { calls: [2] }, { calls: [] }]), new Set());
  });

  it('is in a function that calls itself', () => {
    assert.deepEqual(headsOf([{ calls: [0] }]), new Set([0]));
  });

  it('is in one function of a circle', () => {
    assert.equal(headsOf([{ calls: [1] }, { calls: [2] }, { calls: [0] }]).size, 1);
  });

  it('goes through tables', () => {
    assert.deepEqual(headsOf([{ calls: [], indirect: true }], [0]), new Set([0]));
  });

  it('leaves out functions from outside', () => {
    assert.deepEqual(headsOf([{ calls: [0, 1] }], [], 2), new Set());
  });

  it('cannot go round without a head, in any graph', () => {
    const node = fc.record({ calls: fc.array(fc.nat(7), { maxLength: 3 }), indirect: fc.boolean() });
    const graph = fc.array(node, { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(graph, fc.array(fc.nat(7), { maxLength: 3 }), (nodes, inTables) => {
        assert.equal(goesRound(nodes, inTables, headsOf(nodes, inTables)), false);
      }),
      { numRuns: 1_000 },
    );
  });
});
