import { CLAIMS } from './claims.ts';
import type { Operator } from './draft.ts';
import { HTTP } from './http.ts';
import { POPS } from './pops.ts';
import { TEXTS } from './texts.ts';

/** Every operator. Those of one stage are applied in this order, those that keep before those that break. */
export const OPERATORS: readonly Operator[] = [...CLAIMS, ...TEXTS, ...POPS, ...HTTP];

export const BY_NAME: ReadonlyMap<string, Operator> = new Map(OPERATORS.map((one) => [one.name, one]));
