import type { SigningKey } from '../store/model.ts';
import { type Answer, member } from './control-api.ts';
import { CliError } from './exit.ts';

/** A key as the control plane tells it: times as RFC 3339 text. */
export interface ToldKey extends Pick<SigningKey, 'use' | 'kid' | 'x' | 'status'> {
  readonly since: string;
  readonly until: string | null;
}

/** Throws CliError where the answer has no keys. */
export function signingKeysOf(answer: Answer): readonly ToldKey[] {
  const keys = answer.keys;
  if (Array.isArray(keys) && keys.every(isKey)) return keys;
  throw new CliError('answer_invalid', 'the control plane answered without keys');
}

/** Of those, the keys that roots may be signed by: 32 bytes each, base64url. */
export function authorityKeysOf(answer: Answer): string[] {
  return signingKeysOf(answer)
    .filter(({ use, status }) => use === 'authority' && status !== 'retired')
    .map(({ x }) => x);
}

function isKey(value: unknown): value is ToldKey {
  return ['use', 'kid', 'x', 'status', 'since'].every((name) => typeof member(value, name) === 'string');
}
