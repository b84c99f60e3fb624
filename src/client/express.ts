/** What an Express application imports (4 and 5): `lemma-authz/express`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LemmaFacts } from './guard.ts';
import type { ProtectOptions } from './options.ts';
import { checkScope, type Protection, protect } from './protect.ts';

export * from './backend.ts';
export { keepBody } from './body.ts';

declare global {
  namespace Express {
    interface Request {
      /** Set by `lemma()` on what it let through. */
      lemma?: LemmaFacts;
    }
  }
}

export type LemmaOptions = ProtectOptions & {
  /** Scopes that every request needs; with a PDP, beyond those of its routes. */
  readonly scope: readonly string[];
};

/** Express's own request has these beside Node's. */
type ExpressRequest = IncomingMessage & { readonly originalUrl?: string; lemma?: LemmaFacts };

export interface LemmaMiddleware {
  (request: ExpressRequest, response: ServerResponse, next: (error?: unknown) => void): void;
  /** The same, with the same memory of nonces and budgets, for other scopes. */
  requiring(...scope: string[]): LemmaMiddleware;
}

/**
 * Lets through what is proven, with `request.lemma`; answers anything else itself. Put it before body parsers: it reads a body
 * that a PoP covers and puts it back. A parser that must run before keeps the bytes: `express.json({ verify: keepBody })`.
 *
 * @throws InputError that names the option and the mend
 */
export function lemma({ scope, ...options }: LemmaOptions): LemmaMiddleware {
  checkScope(scope, 'scope');
  return middleware(protect(options), scope);
}

function middleware(protection: Protection, scope: readonly string[]): LemmaMiddleware {
  const handle = (request: ExpressRequest, response: ServerResponse, next: (error?: unknown) => void) => {
    const requestId = globalThis.crypto.randomUUID();
    const target = request.originalUrl ?? request.url ?? '';
    protection.decide({ raw: request, target, scope, requestId }).then(
      (verdict) => {
        if (verdict.allowed) {
          request.lemma = verdict.facts;
          next();
          return;
        }
        response.statusCode = verdict.status;
        response.setHeader('content-type', 'application/json; charset=utf-8');
        response.end(JSON.stringify(verdict.answer));
      },
      () => response.destroy(),
    );
  };
  return Object.assign(handle, {
    requiring(...other: string[]) {
      checkScope(other, 'scope');
      return middleware(protection, other);
    },
  });
}
