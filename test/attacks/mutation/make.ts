import type { ReasonCode } from '../../../src/reason.ts';
import type { Choose, Draft, Operator, Spec, Stages } from './draft.ts';

type Apply<T> = (part: T, pick: Choose, stages: Stages) => unknown;

/** The part of each stage that its operators change. */
interface Parts {
  draft: Draft;
  links: Record<string, unknown>[];
  pop: Draft['pop'];
  wire: Draft['wire'];
}

function operator<S extends keyof Parts>(
  stage: S,
  effect: Operator['effect'],
  name: string,
  codes: readonly ReasonCode[],
  apply: Apply<Parts[S]>,
): Operator {
  return {
    name,
    stage,
    effect,
    codes,
    apply(stages, pick) {
      const parts: Parts = {
        draft: stages.draft,
        links: stages.links,
        pop: stages.draft.pop,
        wire: stages.draft.wire,
      };
      return apply(parts[stage], pick, stages) !== false;
    },
  };
}

/** An operator that leaves the request allowed. `apply` gives false where there is nothing to change. */
export function keeps<S extends keyof Parts>(stage: S, name: string, apply: Apply<Parts[S]>): Operator {
  return operator(stage, 'keeps', name, [], apply);
}

/** An operator after which the request must be denied, with one of these codes where nothing else is wrong. */
export function breaks<S extends keyof Parts>(
  stage: S,
  name: string,
  codes: ReasonCode | readonly ReasonCode[],
  apply: Apply<Parts[S]>,
): Operator {
  return operator(stage, 'breaks', name, [codes].flat() as ReasonCode[], apply);
}

type TextStage = 'json' | 'value' | 'popText';

/** An operator on a text: null where there is nothing to change. */
export function onText(
  stage: TextStage,
  effect: Operator['effect'],
  name: string,
  codes: ReasonCode | readonly ReasonCode[],
  change: (text: string, pick: Choose, stages: Stages) => string | null,
): Operator {
  return {
    name,
    stage,
    effect,
    codes: [codes].flat() as ReasonCode[],
    apply(stages, pick) {
      const changed = change(stages[stage], pick, stages);
      if (changed === null || changed === stages[stage]) return false;
      stages[stage] = changed;
      return true;
    },
  };
}

/** One of them, and its place. */
export function one<T>(items: readonly T[], pick: Choose): [T, number] | null {
  const at = pick(Math.max(1, items.length));
  const item = items[at];
  return item === undefined ? null : [item, at];
}

export function leafOf({ specs }: Draft): Spec {
  const leaf = specs.at(-1);
  if (leaf === undefined) throw new Error('a draft has links');
  return leaf;
}

export function specOf({ specs }: Draft, type: Spec['type']): Spec | undefined {
  return specs.find((spec) => spec.type === type);
}

export function claim(spec: Spec, claims: Record<string, unknown>): void {
  spec.fields.claims = { ...spec.fields.claims, ...claims };
}
