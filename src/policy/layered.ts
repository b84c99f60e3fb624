import type { Engine } from './engine.ts';
import type { Evaluation } from './evaluate.ts';

/**
 * A policy behind an adapter knows nothing of freshness, taint, budgets, PoP or tokens. So the profile's own is asked first,
 * on the same input, and only what it allows is asked of the other: neither can allow what the other denies.
 */
export function layered(own: Engine, base: Engine): Engine {
  const and = (first: Evaluation, ask: () => Evaluation | Promise<Evaluation>) => {
    if (!first.result.allow) return first;
    const second = ask();
    return second instanceof Promise ? second.then((late) => both(first, late)) : both(first, second);
  };
  return {
    ...own,
    ref: { ...own.ref, base: base.ref.sha256 },
    evaluate(input) {
      const first = base.evaluate(input);
      return first.result.allow ? both(first, own.evaluate(input)) : first;
    },
    decide(input, long) {
      const first = base.decide(input, long);
      const ask = () => own.decide(input, long);
      return first instanceof Promise ? first.then((early) => and(early, ask)) : and(first, ask);
    },
  };
}

/** What two that were asked say together. What the profile's own asks of whoever acts is kept. */
export function both(first: Evaluation, second: Evaluation): Evaluation {
  const steps = first.steps + second.steps;
  const { obligations } = first.result;
  if (obligations === undefined || !second.result.allow) return { ...second, steps };
  const result = { ...second.result, obligations };
  return { result, resultJson: JSON.stringify(result), steps };
}
