import { fromBase64url } from '../crypto/base64url.ts';
import { type Json, JsonError, readJson } from '../crypto/json.ts';
import { Denial } from '../reason.ts';
import {
  delegationSchema,
  LEMMA_TYPES,
  type Lemma,
  type LemmaType,
  rootSchema,
  runSchema,
  runtimeSchema,
} from '../schema/lemma.ts';
import { isOrigin } from '../schema/origin.ts';
import { type Checked, checkerOf } from '../schema/validate.ts';
import { boundsOf, prefixProblem } from './bounds.ts';

/** Nesting that a credential may have; the outermost object is 1. */
const MAX_DEPTH = 8;
/** Ancestors that a leaf may carry. */
const MAX_ANCESTORS = 5;
const MAX_DELEGATIONS = 3;

const checkers: Record<LemmaType, (value: unknown) => Checked<Lemma>> = {
  root: checkerOf<Lemma>(rootSchema),
  delegation: checkerOf<Lemma>(delegationSchema),
  runtime: checkerOf<Lemma>(runtimeSchema),
  run: checkerOf<Lemma>(runSchema),
};

/**
 * Steps 5 to 7 of proofs.md: the header's value to links, root first, leaf last. Shape and order are right, nothing
 * is verified yet. Throws Denial: encoding_invalid, json_duplicate_key, version_unsupported, schema_invalid,
 * chain_too_deep, chain_incomplete, chain_order_invalid.
 */
export function decodeCredential(header: string): readonly Lemma[] {
  const members = readObject(header);
  const { chain, ...leaf } = members;
  const ancestors = 'chain' in members ? chain : [];
  checkVersions([...(Array.isArray(ancestors) ? ancestors : []), leaf]);
  if (!Array.isArray(ancestors)) throw new Denial('schema_invalid', 'chain: must be an array');
  const links = [...ancestors, leaf].map(checkLemma);
  checkOrder(links);
  return links;
}

function readObject(header: string): Record<string, Json> {
  const bytes = fromBase64url(header);
  if (bytes === null) throw new Denial('encoding_invalid', 'not canonical base64url');
  let read: ReturnType<typeof readJson>;
  try {
    read = readJson(bytes, { maxDepth: MAX_DEPTH, numbers: 'integer' });
  } catch (error) {
    if (error instanceof JsonError) throw new Denial('encoding_invalid', error.message);
    throw error;
  }
  if (!isObject(read.value)) throw new Denial('encoding_invalid', 'not a JSON object');
  if (read.duplicate !== null) throw new Denial('json_duplicate_key', `"${read.duplicate}" stands twice`);
  return read.value;
}

function isObject(value: unknown): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkVersions(links: readonly unknown[]): void {
  for (const [index, link] of links.entries()) {
    if (!isObject(link) || !Object.hasOwn(link, 'v')) continue;
    const v = link.v;
    if (Number.isInteger(v) && v !== 1)
      throw new Denial('version_unsupported', `v is ${String(v)}`, { link: index });
  }
}

/** One link: its shape by type, then what no schema can say. Throws schema_invalid. */
export function checkLemma(value: unknown, index: number): Lemma {
  const type = isObject(value) && Object.hasOwn(value, 'type') ? value.type : undefined;
  const known = LEMMA_TYPES.find((t) => t === type);
  if (known === undefined) throw invalid(index, 'type: must be root, delegation, runtime or run');
  const checked = checkers[known](value);
  if (!checked.ok) throw invalid(index, checked.problems.map((p) => `${p.field}: ${p.message}`).join('; '));
  const problem = lemmaProblem(checked.value);
  if (problem !== null) throw invalid(index, problem);
  return checked.value;
}

function invalid(link: number, message: string): Denial {
  return new Denial('schema_invalid', message, { link });
}

/** What no JSON Schema can say of a lemma: origins, paths, an empty window. Null when all is well. */
function lemmaProblem(lemma: Lemma): string | null {
  const audience = lemma.audience.findIndex((entry) => !isOrigin(entry));
  if (audience >= 0) return `audience[${audience}]: not an origin in its normal form`;
  if (lemma.not_before >= lemma.expires_at) return 'expires_at: must be after not_before';
  const path = prefixProblem(boundsOf(lemma)?.path_prefixes ?? []);
  return path < 0 ? null : `claims.bounds.path_prefixes[${path}]: ambiguous, or ends with a slash`;
}

/** Step 7. Throws chain_too_deep, chain_incomplete, chain_order_invalid. */
export function checkOrder(links: readonly Lemma[]): void {
  const types = links.map((link) => link.type);
  const count = (type: LemmaType) => types.filter((t) => t === type).length;
  const facts = { chain: types };
  if (links.length - 1 > MAX_ANCESTORS || count('delegation') > MAX_DELEGATIONS) {
    throw new Denial(
      'chain_too_deep',
      `${links.length - 1} ancestors, ${count('delegation')} delegations`,
      facts,
    );
  }
  const missing = (['root', 'delegation', 'runtime'] as const).find((type) => count(type) === 0);
  if (missing !== undefined) throw new Denial('chain_incomplete', `no ${missing}`, facts);
  if (!/^root (delegation ){1,3}runtime( run)?$/.test(types.join(' '))) {
    throw new Denial('chain_order_invalid', types.join(', '), facts);
  }
}
