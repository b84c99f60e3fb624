import { toBase64url } from '../crypto/base64url.ts';
import { prefixProblem } from '../proof/bounds.ts';
import { attenuationProblem, MAX_LIFE } from '../proof/chain.ts';
import { signedBytes, stateLemma } from '../proof/signing.ts';
import { ID_PATTERN, METHOD_PATTERN, SCOPE_PATTERN } from '../schema/common.ts';
import type { Lemma } from '../schema/lemma.ts';
import type { Bounds, Credential } from './credential.ts';
import { LemmaClientError } from './errors.ts';
import { generateKey, type LemmaKey } from './key.ts';

/** The window of one job. */
export interface RunOptions {
  readonly run_id: string;
  /** How many operations it may have: 1 to 1,000,000. */
  readonly operations: number;
  /** Default: all of the runtime's. */
  readonly scope?: readonly string[];
  /** Default: all of the runtime's. */
  readonly audience?: readonly string[];
  /** Seconds, 1 to 900; default 300. Never longer than the runtime's own proof lives. */
  readonly ttl_s?: number;
  readonly bounds?: Bounds;
  /** Default: a new one. */
  readonly key?: LemmaKey;
}

/** A credential and the key of its leaf. */
export interface Narrowed {
  readonly credential: Credential;
  readonly key: LemmaKey;
}

const USUAL_TTL_S = 300;

/**
 * A run below a runtime's proof, signed here with the runtime's key: nobody is asked (proofs.md). `now` in seconds.
 *
 * @throws LemmaClientError `options_invalid`, which names what cannot be; `proof_expired`
 */
export async function narrowToRun(
  { credential, key: runtimeKey }: Narrowed,
  options: RunOptions,
  now: number,
): Promise<Narrowed> {
  const { chain, ...parent } = credential;
  if (parent.type !== 'runtime') throw refused('credential', 'a run has no run below it');
  if (parent.key !== toBase64url(runtimeKey.publicKey)) throw refused('key', "must be the credential's");
  if (now >= parent.expires_at)
    throw new LemmaClientError('proof_expired', "the runtime's proof has ended: a run below it would too");
  check(options);
  const { run_id, operations, ttl_s = USUAL_TTL_S, bounds } = options;
  const key = options.key ?? (await generateKey());
  const from = Math.max(now, parent.not_before);
  const unsigned = stateLemma(
    { type: 'run', claims: { run_id, budget: { operations }, ...(bounds === undefined ? {} : { bounds }) } },
    {
      key: key.publicKey,
      audience: options.audience ?? parent.audience,
      scope: options.scope ?? parent.scope,
      issued_at: from,
      expires_at: Math.min(from + ttl_s, parent.expires_at),
    },
    parent as unknown as Lemma,
    runtimeKey.kid,
  );
  const wide = attenuationProblem(parent as unknown as Lemma, unsigned as Lemma);
  if (wide !== null) throw refused(wide.code, wide.message);
  if ([parent, ...chain].some((link) => link.key === unsigned.key))
    throw refused('key', 'must be one of its own: it stands in the chain already');
  const signature = toBase64url(await runtimeKey.sign(signedBytes(unsigned)));
  const leaf = { ...unsigned, signature } as unknown as Credential;
  return { credential: { ...leaf, chain: [...chain, parent] }, key };
}

function check({ run_id, operations, ttl_s, scope, audience, bounds }: RunOptions): void {
  if (!new RegExp(ID_PATTERN).test(run_id))
    throw refused('run_id', 'must be 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit');
  if (!within(operations, 1_000_000)) throw refused('operations', 'must be a whole number, 1 to 1,000,000');
  if (ttl_s !== undefined && !within(ttl_s, MAX_LIFE.run))
    throw refused('ttl_s', `must be whole seconds, 1 to ${MAX_LIFE.run}`);
  const odd = (scope ?? []).find((one) => !new RegExp(SCOPE_PATTERN).test(one));
  if (odd !== undefined) throw refused('scope', `"${odd}" is no scope`);
  if (audience?.length === 0) throw refused('audience', 'must name an origin');
  if (bounds !== undefined) checkBounds(bounds);
}

function checkBounds({ methods, path_prefixes, pop, ...more }: Bounds): void {
  const [unknown] = Object.keys(more);
  if (unknown !== undefined)
    throw refused(`bounds.${unknown}`, 'unknown; there are methods, path_prefixes and pop');
  if (methods === undefined && path_prefixes === undefined && pop === undefined)
    throw refused('bounds', 'must bound something: methods, path_prefixes or pop');
  if (methods !== undefined && !filled(methods, 8, (one) => new RegExp(METHOD_PATTERN).test(one)))
    throw refused('bounds.methods', 'must be 1 to 8 HTTP methods');
  if (path_prefixes !== undefined && !filled(path_prefixes, 32, (one) => prefixProblem([one]) < 0))
    throw refused('bounds.path_prefixes', 'must be 1 to 32 plain paths without a slash at the end');
  if (pop !== undefined && pop !== true) throw refused('bounds.pop', 'must be true, or left out');
}

function filled(list: readonly string[], most: number, fits: (one: string) => boolean): boolean {
  return list.length >= 1 && list.length <= most && list.every(fits);
}

function within(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= most;
}

function refused(field: string, message: string): LemmaClientError {
  return new LemmaClientError('options_invalid', `${field}: ${message}`);
}
