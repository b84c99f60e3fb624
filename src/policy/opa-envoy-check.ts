import { InputError, type Problem } from '../reason.ts';
import { WASM_FILE } from '../schema/bundle.ts';
import { opaEnvoyInputSchema } from '../schema/opa-envoy-input.ts';
import { type Bundle, fileOf, regoIn } from './bundle.ts';
import { HIDDEN } from './calls.ts';
import { NOT_HONOURED } from './opa-envoy-result.ts';
import type { Sources } from './policy-files.ts';
import { inputReads, type Read } from './rego-reads.ts';
import { linesWithoutComments } from './rule-text.ts';
import { textsIn } from './wasm-names.ts';

/**
 * Refuses what a policy of opa-envoy-plugin's reads or answers and is not here, by line: it would be undefined, or fail, when a
 * request is decided, where nobody looks.
 *
 * @throws InputError with every problem found
 */
export function checkOpaEnvoy(bundle: Bundle): void {
  const rego = regoIn(bundle.files);
  const { headers } = bundle.manifest.metadata.lemma;
  const problems = [
    ...inputReads(rego).flatMap((read) => readProblems(read, headers)),
    ...answerProblems(rego),
    ...hiddenProblems(bundle, rego),
  ];
  if (problems.length > 0) throw new InputError(problems);
}

const HEADERS = 'attributes.request.http.headers';
const CREDENTIALS = /^(?:authorization|proxy-authorization|cookie|signature|signature-input|x-lemma-.*)$/;
const VERIFIED =
  'no credential reaches a policy: the host verified it, and says what it is in input.subject, input.proof and input.runtime';

function readProblems({ place, path }: Read, listed: readonly string[]): Problem[] {
  const [name = '', ...more] = path.join('.').startsWith(`${HEADERS}.`) ? path.slice(4) : [];
  if (name !== '' && more.length === 0) return headerProblems(place, name, listed);
  const unknown = unknownIn(path);
  if (unknown === null) return [];
  const read = `input.${unknown.path}`;
  const mend =
    MENDS.find(([beginning]) => `${unknown.path}.`.startsWith(`${beginning}.`))?.[1] ??
    `known there: ${unknown.known.join(', ')}`;
  return [{ field: place, message: `reads ${read}, which is not here; ${mend}` }];
}

function headerProblems(place: string, name: string, listed: readonly string[]): Problem[] {
  if (name.startsWith(':') || listed.includes(name)) return [];
  if (CREDENTIALS.test(name.toLowerCase()))
    return [{ field: place, message: `reads the header "${name}"; ${VERIFIED}` }];
  const mend =
    name === name.toLowerCase() ? `list it in metadata.lemma.headers` : 'names of headers are lower case';
  return [{ field: place, message: `reads the header "${name}", which is not shown; ${mend}` }];
}

const BODY = 'read input.parsed_body, on a route with `body: json`';

/** By beginning. */
const MENDS: readonly (readonly [beginning: string, mend: string])[] = [
  ['attributes.destination', 'the route says where a request goes: read input.route'],
  ['attributes.metadataContext', VERIFIED],
  ['attributes.routeMetadataContext', 'read input.route'],
  ['attributes.tlsSession', 'read input.request.host'],
  ['attributes.source.address.socketAddress', 'read its address; no decision depends on a port'],
  ['attributes.source', "read input.attributes.source.principal, or its address' socketAddress.address"],
  ['attributes.request.http.id', 'the record of the decision has an id of its own'],
  ['attributes.request.http.body', BODY],
  ['attributes.request.http.rawBody', BODY],
  ['attributes.request.http.size', 'read input.request.body.state'],
  ['attributes.request.http.headerMap', 'read headers'],
  ['attributes.request.http.query', 'read input.parsed_query'],
];

interface Unknown {
  /** Up to what is not known. */
  readonly path: string;
  readonly known: readonly string[];
}

/** Where a path leaves the schema of the input; null where it does not. */
function unknownIn(path: readonly string[]): Unknown | null {
  let at: object = opaEnvoyInputSchema;
  for (const [i, part] of path.entries()) {
    const properties: object = 'properties' in at && isObject(at.properties) ? at.properties : {};
    const next: unknown = Object.hasOwn(properties, part) ? Reflect.get(properties, part) : undefined;
    if (isObject(next)) at = next;
    else if ('additionalProperties' in at && at.additionalProperties === false)
      return { path: path.slice(0, i + 1).join('.'), known: Object.keys(properties) };
    else return null;
  }
  return null;
}

/** Members of an answer as they are given: `result["x"] := …`, `{"x": …}`. */
function answerProblems(rego: Sources): Problem[] {
  const members = Object.entries(NOT_HONOURED).map(([member, why]) => ({
    given: new RegExp(`"${member}"\\s*\\]?\\s*(?::|=(?!=))`),
    message: `answers with "${member}", which is not honoured here: ${why}`,
  }));
  return [...rego].flatMap(([file, text]) =>
    linesWithoutComments(text).flatMap((line, i) =>
      members.flatMap(({ given, message }) =>
        given.test(line) ? [{ field: `${file}:${i + 1}`, message }] : [],
      ),
    ),
  );
}

/** Of the rules that `opa build` left out of the Rego the module still tells the texts. Names that mean nothing else. */
const TELLING: ReadonlyMap<string, string> = new Map([
  ['authorization', `reads the header "authorization"; ${VERIFIED}`],
  ['metadataContext', `reads input.attributes.metadataContext, which is not here; ${VERIFIED}`],
  ['rawBody', `reads input.attributes.request.http.rawBody, which is not here; ${BODY}`],
  ...['query_parameters_to_set', 'query_parameters_to_remove'].map(
    (member) =>
      [member, `answers with "${member}", which is not honoured here: ${NOT_HONOURED[member]}`] as const,
  ),
]);

function hiddenProblems(bundle: Bundle, rego: Sources): Problem[] {
  const texts = textsIn(fileOf(bundle, WASM_FILE), [...TELLING.keys()]);
  const seen = [...rego.values()].join('\n');
  return [...TELLING]
    .filter(([text]) => texts.has(text) && !seen.includes(text))
    .map(([, message]) => ({ field: WASM_FILE, message: `${message}${HIDDEN}` }));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
