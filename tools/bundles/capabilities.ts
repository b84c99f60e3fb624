import type { Opa } from './opa.ts';

/**
 * What a policy may call: what OPA's compiler turns into WebAssembly itself (its `internal/compiler/wasm`, 1.22). All
 * of it is pure. The rest (time, http, crypto, sprintf, …) would need a host, and is an error when a policy is built.
 * String interpolation is left out too: opa-wasm 1.10 lacks its built-in.
 */
const NATIVE = new Set(
  `plus minus mul div abs round ceil floor rem bits.or bits.and bits.negate bits.xor bits.lsh bits.rsh
   array.concat array.flatten array.reverse array.slice and or intersection union
   is_number is_string is_boolean is_array is_set is_object is_null type_name to_number
   count sum product max min sort numbers.range
   base64.is_valid base64.decode base64.encode base64url.encode base64url.decode
   net.cidr_contains net.cidr_intersects
   assign eq equal gt gte lt lte neq internal.member_2 internal.member_3
   glob.match regex.is_valid regex.match regex.find_all_string_submatch_n
   json.marshal json.unmarshal json.is_valid json.filter json.remove
   object.filter object.get object.keys object.remove object.union object.union_n
   concat format_int indexof substring lower upper contains startswith endswith strings.reverse split replace
   strings.replace_n trim trim_left trim_prefix trim_right trim_suffix trim_space
   walk graph.reachable`.split(/\s+/),
);

const FEATURES = new Set(['rego_v1', 'keywords_in_refs']);

interface Capabilities {
  builtins: { name: string }[];
  features?: string[];
}

/** A capabilities file for `opa check` and `opa build`. Throws when OPA does not know a name any more. */
export async function capabilities(opa: Opa, folder: string): Promise<string> {
  const current = JSON.parse(await opa.run(['capabilities', '--current'], folder)) as Capabilities;
  const builtins = current.builtins.filter(({ name }) => NATIVE.has(name));
  const missing = [...NATIVE].filter((name) => !builtins.some((builtin) => builtin.name === name));
  if (missing.length > 0)
    throw new Error(`this OPA has no built-in ${missing.join(', ')}: mend tools/bundles/capabilities.ts`);
  const features = (current.features ?? []).filter((feature) => FEATURES.has(feature));
  return JSON.stringify({ ...current, builtins, features, allow_net: [] });
}
