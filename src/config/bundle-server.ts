import { isLocal } from './address.ts';

const EXAMPLE = 'https://policies.example.com/bundles';

/** Whether `bundles.source` is meant to be a server of bundles. */
export function isServer(source: string): boolean {
  return /^https?:/i.test(source);
}

/** What is wrong with the URL of a server of bundles, or null. Bundles are signed; who reads along should not know the policies. */
export function serverProblem(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || url.host === '') return `must be a URL as in ${EXAMPLE}`;
  if (url.username !== '' || url.password !== '') return 'must hold no credentials';
  if (/[?#]/.test(text)) return 'must have no query and no fragment';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return url.protocol === 'https:' || isLocal({ kind: 'tcp', host, port: 0 })
    ? null
    : `must be https, unless it is on this machine: ${EXAMPLE}`;
}
