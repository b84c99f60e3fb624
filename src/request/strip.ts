import {
  hasParam,
  parseDictionary,
  StructuredFieldError,
  serializeDictionary,
} from '../crypto/structured-field.ts';
import { type AuthzRequest, type HeaderLine, POP_TAG, type Route } from '../schema/request.ts';
import { joined, legacyTokensIn } from './headers.ts';

/** What must not reach the upstream (proofs.md, last rule): names to remove, and fields to send instead. */
export interface Stripped {
  readonly strip: readonly string[];
  readonly rewrite: readonly (readonly [name: string, value: string])[];
}

/** What a client shows of itself. */
export const CREDENTIAL_HEADERS = ['x-lemma-credential', 'x-lemma-proof', 'x-lemma-pop'] as const;
const CREDENTIALS: ReadonlySet<string> = new Set(CREDENTIAL_HEADERS);

/**
 * Every client-sent `x-lemma-*` and its spelling with underscores; the credential, the PoP and `Bearer lm_at_…` unless
 * the route forwards them. Signatures of others stay.
 */
export function strippedHeaders(request: AuthzRequest, route: Route | null): Stripped {
  const forward = route?.forward_credential === true;
  const strip = new Set<string>();
  const rewrite: [string, string][] = [];
  for (const [name, value] of request.headers) {
    if (isLemmaHeader(name) && !(forward && CREDENTIALS.has(name))) strip.add(name);
    if (!forward && name === 'authorization' && legacyTokensIn(value).length > 0) strip.add(name);
  }
  if (!forward) stripSignatures(request.headers, strip, rewrite);
  return { strip: [...strip], rewrite };
}

export function isLemmaHeader(name: string): boolean {
  return name.replaceAll('_', '-').startsWith('x-lemma-');
}

function stripSignatures(
  headers: readonly HeaderLine[],
  strip: Set<string>,
  rewrite: [string, string][],
): void {
  const input = joined(headers, 'signature-input');
  if (input === null) return;
  try {
    const inputs = parseDictionary(input);
    const ours = inputs.filter((entry) => hasParam(entry, 'tag', POP_TAG));
    if (ours.length === 0) return;
    const labels = new Set(ours.map((entry) => entry.key));
    const others = inputs.filter((entry) => !labels.has(entry.key));
    const signatures = parseDictionary(joined(headers, 'signature') ?? '').filter(
      (entry) => !labels.has(entry.key),
    );
    for (const [name, entries] of [
      ['signature-input', others],
      ['signature', signatures],
    ] as const) {
      if (entries.length === 0) strip.add(name);
      else rewrite.push([name, serializeDictionary(entries)]);
    }
  } catch (error) {
    if (!(error instanceof StructuredFieldError)) throw error;
    if (!input.includes(POP_TAG)) return;
    strip.add('signature-input');
    strip.add('signature');
  }
}
