import { Denial } from '../reason.ts';
import { pathProblem } from '../schema/path.ts';

/** A request target taken apart: path as received, query with its `?` (empty when there is none). */
export interface Target {
  readonly path: string;
  readonly query: string;
}

export function splitTarget(target: string): Target {
  const mark = target.indexOf('?');
  return mark < 0 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark) };
}

/**
 * Step 3, first part. Throws path_ambiguous; returns whether `%2f` is the only doubt, which the route may settle.
 */
export function checkTarget(host: string, target: Target): { encodedSlash: boolean } {
  if (/[\x00-\x20\x7f#]/.test(target.query)) throw ambiguous('control byte, space or # in the query');
  if (/[\x00-\x20\x7f-\uffff/\\@?#]/.test(host)) throw ambiguous('a byte in the host that no host has');
  const problem = pathProblem(target.path);
  if (problem === null) return { encodedSlash: false };
  if (!problem.encodedSlashOnly) throw ambiguous(problem.problem);
  return { encodedSlash: true };
}

export function ambiguous(message: string): Denial {
  return new Denial('path_ambiguous', message);
}

/** Decoded query parameters, in order, for the policy. A null prototype: names are the client's. */
export function queryParameters(query: string): Record<string, string[]> {
  const parameters: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  if (query === '') return parameters;
  for (const [name, value] of new URLSearchParams(query)) {
    const values = parameters[name];
    if (values === undefined) parameters[name] = [value];
    else values.push(value);
  }
  return parameters;
}
