import type { Evaluator } from './evaluate.ts';
import { Instance, type PolicyImage, prepareInstance } from './instance.ts';
import { Instances } from './instances.ts';

/** What evaluates a policy in a thread that does nothing else. Throws as `Instance`. */
export function createEvaluator(image: PolicyImage): Evaluator {
  const make = { now: () => new Instance(image), soon: () => prepareInstance(image) };
  const { limits, adapter } = image;
  return { limits, adapter, instances: new Instances(make.now(), make, false) };
}
