import type { Problem } from '../reason.ts';
import type { ConfigProblem } from './error.ts';
import type { Place, Source } from './yaml-source.ts';

/** Knows where each part of a configuration came from. */
export interface Places {
  /** Null for what is in no file: a default, a flag, a variable. */
  locate(field: string): Place | null;
  tell(problem: Problem): ConfigProblem;
}

export interface Origins {
  readonly main: Source | null;
  /** The routes file, where the routes are not in the main one. */
  readonly routes: Source | null;
  /** Flag or variable that set a field. */
  readonly overridden: ReadonlyMap<string, string>;
}

/** Joins the files' own places: `routes[3].path` may be in the routes file, with or without its outer mapping. */
export function placesOf({ main, routes, overridden }: Origins): Places {
  const locate = (field: string): Place | null => {
    if (setter(overridden, field) !== null) return null;
    if (routes !== null && inRoutesFile(field, main)) {
      return routes.locate(Array.isArray(routes.value) ? field.slice('routes'.length) : field);
    }
    return main?.locate(field) ?? null;
  };
  const tell = (problem: Problem): ConfigProblem => {
    const place = locate(problem.field);
    if (place !== null) return { ...problem, ...place };
    return { ...problem, file: setter(overridden, problem.field), line: null, column: null };
  };
  return { locate, tell };
}

/** `listen.grpc[1]` was set by what set `listen.grpc`. */
function setter(overridden: ReadonlyMap<string, string>, field: string): string | null {
  return overridden.get(field.replace(/\[\d+\]$/, '')) ?? null;
}

function inRoutesFile(field: string, main: Source | null): boolean {
  if (field.startsWith('routes[')) return true;
  const value = main?.value;
  const inMain =
    typeof value === 'object' && value !== null && Object.hasOwn(value, 'permit_method_override');
  return field.startsWith('permit_method_override') && !inMain;
}
