import type { FastifyBaseLogger } from 'fastify';
import type { Logger } from 'pino';

const SECRET = [
  'authorization',
  'cookie',
  'set-cookie',
  'proxy-authorization',
  'x-lemma-credential',
  'x-lemma-proof',
  'x-lemma-pop',
  'signature',
  'signature-input',
  'body',
];

/** What pino takes out of a line, wherever a careless one puts it: at the top, or below `req`, `headers`, `request`. */
const REDACTED_PATHS = SECRET.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.headers["${name}"]`]);

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
