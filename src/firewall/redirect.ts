import type { Destination } from '../request/firewall.ts';
import { pathCovered } from '../schema/path.ts';
import type { HeaderLine } from '../schema/request.ts';

/** What a header's URL is read against, and where there is a way through the firewall for it. */
export interface Redirects {
  /** The upstream's URL that was asked for. */
  readonly base: string;
  readonly own: Destination;
  readonly destinations: ReadonlyMap<string, Destination>;
}

/** `5`, `5; url=/a`, `5, '/a'`: the delay and how the URL begins, the URL, and how it ends (HTML, "shared declarative refresh steps"). */
const REFRESH = /^(\s*[\d.]+\s*[;,\s]\s*(?:url\s*=\s*)?)(["']?)(.*?)(\2\s*)$/is;

/**
 * An answer's line as the agent gets it: a URL that an api covers becomes the firewall's own path to it, so that whoever
 * follows it is decided on again. Others stay as they are; one that is relative to the upstream is said whole.
 */
export function redirected([name, value]: HeaderLine, redirects: Redirects): HeaderLine {
  switch (name.toLowerCase()) {
    case 'location':
    case 'content-location':
      return [name, through(value, redirects)];
    case 'refresh': {
      const [, before, quote, url, after] = REFRESH.exec(value) ?? [];
      if (before === undefined || url === undefined || url === '') return [name, value];
      return [name, `${before}${quote}${through(url, redirects)}${after}`];
    }
    default:
      return [name, value];
  }
}

function through(text: string, { base, own, destinations }: Redirects): string {
  const url = URL.parse(text, base);
  if (url === null) return text;
  const covering = [...destinations.values()].filter((one) => covers(one, url));
  const longest = Math.max(...covering.map(({ basePath }) => basePath.length));
  const closest = covering.filter(({ basePath }) => basePath.length === longest);
  const chosen = closest.find(({ api }) => api.id === own.api.id) ?? closest[0];
  if (chosen !== undefined) {
    const rest = url.pathname.slice(chosen.basePath.length);
    return `/firewall/${chosen.api.id}${rest}${url.search}${url.hash}`;
  }
  return URL.canParse(text) ? text : url.href;
}

function covers({ origin, basePath }: Destination, url: URL): boolean {
  if (url.origin !== origin || url.username !== '' || url.password !== '') return false;
  return basePath === '' || pathCovered(basePath, url.pathname);
}
