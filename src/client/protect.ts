import type { IncomingMessage } from 'node:http';
import { InputError } from '../reason.ts';
import { CONCRETE_SCOPE_PATTERN } from '../schema/common.ts';
import { bodyOf } from './body.ts';
import type { Guard, LemmaFacts, Outcome } from './guard.ts';
import { asReceived, dropIdentity } from './incoming.ts';
import { createLocalGuard } from './local.ts';
import type { ProtectOptions } from './options.ts';
import { createPdpGuard } from './pdp.ts';

/** The one shape of every error (interfaces.md, "REST"). */
export interface ErrorAnswer {
  readonly success: false;
  readonly error: string;
  readonly message: string;
  readonly request_id: string;
  readonly decision_id?: string;
}

/** What a framework's binding does with one request. */
export type Verdict =
  | { readonly allowed: true; readonly facts: LemmaFacts }
  | { readonly allowed: false; readonly status: number; readonly answer: ErrorAnswer };

export interface Protection {
  /** Rejects when the client went away before its body was here: nobody is left to answer. */
  decide(asked: {
    readonly raw: IncomingMessage;
    readonly target: string;
    readonly scope: readonly string[];
    readonly requestId: string;
  }): Promise<Verdict>;
}

const BODY_LIMIT = 1024 * 1024;

/** @throws InputError that names the option and the mend */
export function protect(options: ProtectOptions): Protection {
  const guard: Guard = 'pdp' in options ? createPdpGuard(options) : createLocalGuard(options);
  const { body_limit: limit = BODY_LIMIT, onDenied = () => {} } = options;
  const scheme =
    options.scheme ?? ('pdp' in options ? 'https' : new URL(options.audience).protocol.slice(0, -1));
  return {
    async decide({ raw, target, scope, requestId }) {
      const unseen = { seen: null, partial: false, size: null };
      const head = asReceived(raw, { scheme, target, body: unseen });
      const body = guard.needsBody(head) ? await bodyOf(raw, limit) : unseen;
      const outcome = await guard.ask({ ...head, body }, scope);
      if (outcome.allowed) {
        dropIdentity(raw);
        return outcome;
      }
      onDenied(outcome, raw);
      return { allowed: false, status: outcome.status, answer: answerOf(outcome, requestId) };
    },
  };
}

/** The caller sees the code; what exactly failed is for operators. */
function answerOf({ reason, decision_id }: Outcome & { allowed: false }, requestId: string): ErrorAnswer {
  const plain = {
    success: false,
    error: reason,
    message: `denied: ${reason}`,
    request_id: requestId,
  } as const;
  return decision_id === null ? plain : { ...plain, decision_id };
}

const SCOPE = new RegExp(CONCRETE_SCOPE_PATTERN);

/** Throws InputError: a scope that no proof could cover would deny everything, or be a slip. */
export function checkScope(scope: unknown, field: string): asserts scope is readonly string[] {
  const fits = Array.isArray(scope) && scope.every((one) => typeof one === 'string' && SCOPE.test(one));
  if (fits) return;
  const message = 'must list the scopes that are required, such as ["documents.read"]; [] requires none';
  throw new InputError([{ field, message }]);
}
