import type { Reason } from '../reason.ts';
import type { Actor } from '../schema/actor.ts';
import type { AuthzRequest } from '../schema/request.ts';

export type { Actor as LemmaActor } from '../schema/actor.ts';

/** What a handler finds as `request.lemma`. */
export interface LemmaFacts {
  /** Null only where the PDP lets a route pass without a proof (`public`). */
  readonly actor: Actor | null;
  /** Of the PDP's record; null where it was decided here, which keeps none. */
  readonly decision_id: string | null;
}

export type Outcome =
  | { readonly allowed: true; readonly facts: LemmaFacts }
  | {
      readonly allowed: false;
      readonly reason: Reason;
      /** HTTP. */
      readonly status: number;
      /** For operators, not for the caller. */
      readonly detail: string;
      readonly decision_id: string | null;
    };

/** Answers one request. Never throws: whatever goes wrong is a denial. */
export interface Guard {
  /** Whether the body has to be seen before it is asked. */
  needsBody(request: Pick<AuthzRequest, 'headers'>): boolean;
  ask(request: AuthzRequest, scope: readonly string[]): Promise<Outcome>;
}
