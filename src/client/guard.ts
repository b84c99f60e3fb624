import type { Reason } from '../reason.ts';
import type { AuthzRequest } from '../schema/request.ts';

/** Who acts, from what was verified: never from another header. */
export interface LemmaActor {
  readonly subject: string;
  readonly runtime_id: string;
  readonly agent_id: string;
  readonly workspace_id: string;
  readonly run_id: string | null;
  readonly scope: readonly string[];
}

/** What a handler finds as `request.lemma`. */
export interface LemmaFacts {
  /** Null only where the PDP lets a route pass without a proof (`public`). */
  readonly actor: LemmaActor | null;
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
