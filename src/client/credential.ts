import { fromBase64url } from '../crypto/base64url.ts';
import type { LemmaType } from '../schema/lemma.ts';
import { LemmaClientError } from './errors.ts';

/** One signed statement of a chain (proofs.md). Times in whole seconds since 1970, binary values in base64url. */
export interface Link {
  readonly v: 1;
  readonly type: LemmaName;
  readonly id: string;
  readonly issuer: string;
  readonly subject: string;
  readonly key: string;
  readonly audience: readonly string[];
  readonly scope: readonly string[];
  readonly issued_at: number;
  readonly not_before: number;
  readonly expires_at: number;
  readonly parent?: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signature: string;
}

/** Written out: what is published must not need the package that derives types from schemas. */
export type LemmaName = 'root' | 'delegation' | 'runtime' | 'run';
const TYPES: readonly LemmaType[] = ['root', 'delegation', 'runtime', 'run'] satisfies LemmaName[];

/** A leaf with its ancestors, root first: what travels, and what LEMMA_PROOF_FILE holds. */
export interface Credential extends Link {
  readonly chain: readonly Link[];
}

/** Limits that a link may set; all of a chain must hold. */
export interface Bounds {
  readonly methods?: readonly string[];
  readonly path_prefixes?: readonly string[];
  readonly pop?: true;
}

/**
 * A credential of its JSON, as object or text, or of its header's value. Only what is needed to present it is looked at:
 * whoever it is shown to verifies it.
 *
 * @throws LemmaClientError `options_invalid`
 */
export function readCredential(given: unknown): Credential {
  const value = typeof given === 'string' ? parsed(given.trim()) : given;
  const problem = problemOf(value);
  if (problem !== null) throw new LemmaClientError('options_invalid', `credential: ${problem}`);
  return value as Credential;
}

function parsed(text: string): unknown {
  try {
    if (text.startsWith('{')) return JSON.parse(text);
    const bytes = fromBase64url(text);
    return bytes === null ? null : JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

function problemOf(value: unknown): string | null {
  if (!isRecord(value))
    return "must be a credential's JSON, or the value of its header (base64url of that JSON)";
  const { type, chain, key, subject, audience, scope, claims } = value;
  if (type !== 'runtime' && type !== 'run')
    return 'must be a runtime or a run: nothing else can be presented';
  if (!Array.isArray(chain) || !chain.every(isLink)) return 'chain: must hold its ancestors, root first';
  if (typeof key !== 'string' || typeof subject !== 'string') return 'key and subject: must be strings';
  if (![audience, scope].every(isTexts)) return 'audience and scope: must be lists of strings';
  if (!Number.isInteger(value.expires_at) || !Number.isInteger(value.issued_at) || !isRecord(claims))
    return 'issued_at, expires_at and claims: are missing';
  return null;
}

function isLink(value: unknown): boolean {
  return isRecord(value) && TYPES.some((type) => type === value.type) && isRecord(value.claims);
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
