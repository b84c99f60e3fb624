import type { FastifyInstance, FastifyRequest } from 'fastify';
import { InputError } from '../reason.ts';

const FORM = 'application/x-www-form-urlencoded';
const FORM_LIMIT = 64 * 1024;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Takes forms too, at these routes alone: any page can have a browser send one. */
export function addForms(app: FastifyInstance, urls: readonly string[]): void {
  const allowed = new Set(urls);
  app.addContentTypeParser(
    FORM,
    { parseAs: 'buffer', bodyLimit: FORM_LIMIT },
    async (request: FastifyRequest, body: Buffer) => {
      if (allowed.has(request.routeOptions.url ?? '')) return readForm(body);
      throw Object.assign(new Error('no form here'), { code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' });
    },
  );
}

/** Members as texts (RFC 6749, sections 3.1 and 3.2): one without a value is none, and none stands twice. Throws InputError. */
function readForm(bytes: Uint8Array): Record<string, string> {
  const members = Object.create(null) as Record<string, string>;
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new InputError([{ field: '', message: 'the form is not UTF-8' }]);
  }
  for (const [name, value] of new URLSearchParams(text)) {
    if (value === '') continue;
    if (name in members) throw new InputError([{ field: name, message: 'stands twice: give it once' }]);
    members[name] = value;
  }
  return members;
}
