import type { Outline } from './wasm-instructions.ts';

/** The functions of a module, by their number among those that it defines itself. */
export interface CallGraph {
  readonly outlines: readonly Outline[];
  /** Functions from outside come first in a module's numbering. */
  readonly imported: number;
  /** Members of the tables, in the module's numbering: what an indirect call can reach. */
  readonly inTables: readonly number[];
}

const WAITING = 0;
const OPEN = 1;
const DONE = 2;

/**
 * Functions of which every endless descent of calls has one: the targets of the back edges of a depth-first search,
 * since each circle has such an edge. Those without a circle are as deep as the module has functions, and no deeper.
 */
export function recursionHeads({ outlines, imported, inTables }: CallGraph): ReadonlySet<number> {
  const indirect = outlines.length;
  const heads = new Set<number>();
  const states = new Uint8Array(outlines.length + 1);
  const callees = outlines.map((outline) => {
    const own = outline.calls.map((callee) => callee - imported).filter((callee) => callee >= 0);
    return outline.callsIndirectly ? [...own, indirect] : own;
  });
  callees.push(inTables.map((callee) => callee - imported).filter((callee) => callee >= 0));
  for (let root = 0; root <= indirect; root++) if (states[root] === WAITING) search(root);
  if (heads.delete(indirect))
    for (const [index, outline] of outlines.entries()) if (outline.callsIndirectly) heads.add(index);
  return heads;

  /** Without recursion of its own: the module may be anyone's. */
  function search(root: number): void {
    const path = [{ node: root, next: 0 }];
    states[root] = OPEN;
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const callee = callees[top.node]?.[top.next++];
      if (callee === undefined) {
        states[top.node] = DONE;
        path.pop();
      } else if (states[callee] === OPEN) heads.add(callee);
      else if (states[callee] === WAITING) {
        states[callee] = OPEN;
        path.push({ node: callee, next: 0 });
      }
    }
  }
}
