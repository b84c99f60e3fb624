import type { FastifyInstance } from 'fastify';
import { InputError } from '../reason.ts';

const FORM = 'application/x-www-form-urlencoded';

/** Takes forms beside JSON, as OAuth's clients send them (RFC 6749, section 4; RFC 8628, section 3.1). */
export function takeForms(app: FastifyInstance): void {
  if (app.hasContentTypeParser(FORM)) return;
  app.addContentTypeParser(FORM, { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    readForm(body.toString('utf8')),
  );
}

/**
 * A form as an object of texts. A member without a value is none (RFC 6749, section 3.1).
 *
 * Throws InputError for one that stands twice.
 */
export function readForm(text: string): Record<string, string> {
  const pairs = [...new URLSearchParams(text)].filter(([, value]) => value !== '');
  const twice = pairs.find(([name], i) => pairs.findIndex(([other]) => other === name) < i);
  if (twice !== undefined)
    throw new InputError([{ field: '', message: `the body has the member "${twice[0]}" twice` }]);
  return Object.fromEntries(pairs);
}
