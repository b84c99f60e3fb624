import type { FastifyBaseLogger } from 'fastify';
import type { Logger } from 'pino';
import { SECRET_HEADERS } from '../schema/header.ts';

const KEPT_OUT = [...SECRET_HEADERS, 'x-lemma-credential', 'x-lemma-proof', 'x-lemma-pop', 'body'];

/** What pino takes out of a line, wherever a careless one puts it: at the top, or below `req`, `headers`, `request`. */
const REDACTED_PATHS = KEPT_OUT.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.headers["${name}"]`]);

/**
 * The logger that the servers write to: a request is its method and address, never its URL (a query may hold secrets),
 * headers or body.
 */
export function serverLogger(log: Logger): FastifyBaseLogger {
  return log.child(
    {},
    {
      redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
      serializers: {
        req: (request: { method?: unknown; ip?: unknown }) => ({
          method: request.method,
          remote: request.ip,
        }),
        res: (reply: { statusCode?: unknown }) => ({ status: reply.statusCode }),
      },
    },
  );
}
