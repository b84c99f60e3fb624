import { InputError, type Problem } from '../reason.ts';
import {
  DATA_FILE,
  MANIFEST_FILE,
  OPA_SIGNATURES_FILE,
  SIGNATURE_FILE,
  WASM_FILE,
} from '../schema/bundle.ts';
import { type Bundle, fileOf, regoIn } from './bundle.ts';
import { callProblems, isCalled } from './calls.ts';
import { isRego } from './policy-files.ts';
import { functionNames } from './wasm-names.ts';

/** Bundles of stock `opa build -t wasm`, signed in OPA's way: nobody here has looked at their Rego before. */

/** OPA's signature counts where ours is not there. */
export function isStock({ files }: Pick<Bundle, 'files'>): boolean {
  return files.has(OPA_SIGNATURES_FILE) && !files.has(SIGNATURE_FILE);
}

/** `opa build -t wasm` takes the entrypoint's rules out of the Rego, and imports them in their place. */
export function lacksEntrypoint(bundle: Pick<Bundle, 'entrypoint' | 'files'>): boolean {
  const line = `import data.${bundle.entrypoint.replaceAll('/', '.')}`;
  return [...regoIn(bundle.files).values()].some((text) => text.split('\n').includes(line));
}

/**
 * Holds such a bundle to what `lemma policy build` would have refused. What its module wants of a host is refused when it is
 * loaded (`image.ts`).
 *
 * @throws InputError with every problem found
 */
export function checkStock(bundle: Bundle): void {
  const problems = [...fileProblems(bundle), ...builtinProblems(bundle)];
  if (problems.length > 0) throw new InputError(problems);
}

const KNOWN: ReadonlySet<string> = new Set([
  MANIFEST_FILE,
  DATA_FILE,
  WASM_FILE,
  OPA_SIGNATURES_FILE,
  SIGNATURE_FILE,
]);

function fileProblems({ files }: Bundle): Problem[] {
  const paths = [...files.keys()];
  const strange = paths
    .filter((path) => !KNOWN.has(path) && !isRego(path))
    .map((field) => ({ field, message: 'is no part of what `opa build -t wasm` makes; take it out' }));
  if (paths.some(isRego)) return strange;
  const message =
    'the bundle holds no Rego, so that no decision could be shown with its rules; build it from the folder of the policies (`-b`)';
  return [...strange, { field: WASM_FILE, message }];
}

/**
 * What WebAssembly runs and our capabilities leave out (tools/bundles/capabilities.ts says why): by the function that OPA's
 * compiler links for it, and for nothing else.
 */
const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ['opa_base64_is_valid', 'base64.is_valid'],
  ['opa_base64_decode', 'base64.decode'],
  ['opa_base64_url_decode', 'base64url.decode'],
  ['opa_json_is_valid', 'json.is_valid'],
  ['opa_json_unmarshal', 'json.unmarshal'],
  ['opa_bits_or', 'bits.or'],
  ['opa_bits_and', 'bits.and'],
  ['opa_bits_negate', 'bits.negate'],
  ['opa_bits_xor', 'bits.xor'],
  ['opa_bits_shiftleft', 'bits.lsh'],
  ['opa_bits_shiftright', 'bits.rsh'],
  ['builtin_object_union_n', 'object.union_n'],
  ['opa_strings_format_int', 'format_int'],
  ['opa_to_number', 'to_number'],
  ['opa_template_string', 'internal.template_string'],
  ['opa_agg_all', 'all'],
  ['opa_agg_any', 'any'],
]);

/** What links format_int for itself: then only the Rego tells who calls it. */
const FORMATTING = ['builtin_json_filter', 'builtin_json_remove'];

function builtinProblems(bundle: Bundle): Problem[] {
  const names = functionNames(fileOf(bundle, WASM_FILE));
  if (names.size === 0)
    return [
      {
        field: WASM_FILE,
        message: 'does not name its functions; give it as `opa build -t wasm` wrote it',
      },
    ];
  const rego = regoIn(bundle.files);
  const called = [...LEFT_OUT].flatMap(([linked, builtin]) => (names.has(linked) ? [builtin] : []));
  const others = FORMATTING.some((name) => names.has(name));
  return callProblems(
    called.filter((name) => name !== 'format_int' || !others || isCalled(name, rego)),
    rego,
  );
}
