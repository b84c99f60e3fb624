import type { Decision } from '../schema/decision.ts';
import type { Exchanges } from './exchange.ts';

/**
 * Taints a runtime whose answer may carry instructions: before the first byte of it. Gives null once that is in force, or
 * where nothing taints; else what is said in the place of the answer, of which nothing passes.
 *
 * @param api the upstream's name, for operators
 */
export async function keptBack(
  { decision_id, actor, taintOnResponse }: Pick<Decision, 'decision_id' | 'actor' | 'taintOnResponse'>,
  api: string,
  { taint, log }: Pick<Exchanges, 'taint' | 'log'>,
): Promise<string | null> {
  if (!taintOnResponse) return null;
  try {
    if (actor === null) throw new Error('no runtime is known to taint');
    await taint(actor, { decision_id, api });
    return null;
  } catch (error) {
    log.error({ err: error, decision_id }, 'a runtime could not be tainted: the answer was kept back');
    return 'the taint of this answer could not be recorded, so it was kept back';
  }
}
