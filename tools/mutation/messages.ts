/**
 * Stryker's ignorer for sentences that only a person reads. A code, a fact, the number of a link is behaviour and stays
 * mutated; the text beside it does not.
 */
import type { Ignorer, NodePath } from '@stryker-mutator/api/ignore';
import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

/** Which argument is the sentence, by what is called. */
const SENTENCE_OF: Record<string, number> = {
  Denial: 1,
  RangeError: 0,
  untraced: 0,
};

/** As much of a Babel node as is looked at. */
interface Syntax {
  readonly type: string;
  readonly name?: string;
  readonly callee?: Syntax;
  readonly arguments?: readonly Syntax[];
  readonly key?: Syntax;
  readonly value?: unknown;
}

const TEXTS = ['StringLiteral', 'TemplateLiteral'];

function isSentence(node: Syntax, parent: Syntax): boolean {
  if (parent.type === 'ObjectProperty') return parent.key?.name === 'message' && parent.value === node;
  const position = parent.arguments?.indexOf(node) ?? -1;
  const called = parent.callee?.name ?? '';
  if (position < 0) return false;
  if (SENTENCE_OF[called] === position) return true;
  // `refuse(code, sentence)` of chain.ts, `invalid(sentence)` of pop.ts, `invalid(link, sentence)` of decode.ts.
  if (called === 'refuse') return position === 1 && TEXTS.includes(node.type);
  return called === 'invalid' && (TEXTS.includes(node.type) || position === 1);
}

const messages: Ignorer = {
  shouldIgnore(path: NodePath) {
    const { node, parent } = path as { node: Syntax; parent?: Syntax };
    return parent !== undefined && isSentence(node, parent) ? 'a sentence for a person' : undefined;
  },
};

export const strykerPlugins = [declareValuePlugin(PluginKind.Ignore, 'messages', messages)];
