import type { FastifyRequest } from 'fastify';

/** What the caller has already: RFC 9110 section 13.1.2, compared weakly. */
export function tagsOf({ headers }: FastifyRequest): (tag: string) => boolean {
  const tags = (headers['if-none-match'] ?? '').split(',').map((tag) => opaque(tag.trim()));
  return (tag) => tags.includes('*') || tags.includes(opaque(tag));
}

function opaque(tag: string): string {
  return tag.replace(/^W\//, '');
}
