import { equal, ok } from 'node:assert/strict';
import { Denial } from '../../../src/reason.ts';
import { toRequest } from '../../../src/request/envoy.ts';
import { buildRouteMap } from '../../../src/request/route-map.ts';
import { splitTarget } from '../../../src/request/target.ts';
import { pathProblem } from '../../../src/schema/path.ts';
import { route } from '../../support/route.ts';
import { latin1, refusing, type Target } from '../target.ts';

const routes = buildRouteMap([
  route({ id: 'one' }),
  route({ id: 'rest', path: '/v1/files/**' }),
  route({ id: 'slash', path: '/v1/names/{name}', encoded_slash: 'allow' }),
  route({ id: 'root', path: '/' }),
]);

/** The path rules once more, as one expression: whole segments of what may stand as it is and what may stand escaped. */
const LITERAL = '[!"$&-.0-:<->@-\\[\\]-~]';
const ESCAPED = Array.from({ length: 0x7f - 0x21 }, (_, i) => String.fromCharCode(0x21 + i))
  .filter((char) => !/[A-Za-z0-9._~;#\\?/-]/.test(char))
  .map((char) => {
    const hex = char.charCodeAt(0).toString(16).padStart(2, '0');
    const any = [...hex]
      .map((digit) => (/[a-f]/.test(digit) ? `[${digit}${digit.toUpperCase()}]` : digit))
      .join('');
    return char === '%' ? `${any}(?![0-9A-Fa-f]{2})` : any;
  })
  .join('|');
const SEGMENT = `(?!\\.{1,2}(?:/|$))(?:${LITERAL}|%(?:${ESCAPED}))+`;
const PLAIN = new RegExp(`^/(?:${SEGMENT}/)*(?:${SEGMENT})?$`);

function modelOf(path: string): 'plain' | 'escaped slash' | 'ambiguous' {
  if (PLAIN.test(path)) return 'plain';
  const opened = path.replace(/%2f/gi, '/');
  return opened !== path && path.startsWith('/') && PLAIN.test(opened) ? 'escaped slash' : 'ambiguous';
}

export const path: Target = {
  name: 'path',
  maxBytes: 400,
  words: [
    '/v1/documents/',
    '/v1/files/',
    '/v1/names/',
    '%2f',
    '%2F',
    '%2e',
    '%25',
    '%41',
    '%40',
    '%',
    '..',
    '.',
    '//',
    ';',
    '#',
    '?',
    '\\',
    '\0',
    '\u00e9',
    '&a=b',
    '@',
    ':',
  ],
  run(input) {
    const target = latin1(input);
    const { path, query } = splitTarget(target);
    equal(path + query, target);
    const problem = pathProblem(path);
    const verdict = problem === null ? 'plain' : problem.encodedSlashOnly ? 'escaped slash' : 'ambiguous';
    equal(verdict, modelOf(path), `the model reads ${JSON.stringify(path)} otherwise`);
    const http = { method: 'GET', scheme: 'https', host: 'api.example.com', path: target };
    const request = toRequest({ attributes: { request: { http } } });
    const routed = refusing(() => routes.find(request), Denial);
    if (routed === undefined) return;
    equal(routed.target.path, path);
    equal(routed.segments.join('/'), path.slice(1));
    // What any other reader makes of it is what was routed.
    const read = new URL(target, 'https://api.example.com');
    equal(read.pathname, path.replace(/["<>^`{}]/g, encodeURIComponent), 'the URL parser reads another path');
    ok(verdict === 'plain' || routed.route.id === 'slash');
  },
};
