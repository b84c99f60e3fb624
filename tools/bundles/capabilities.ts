import { readFile, writeFile } from 'node:fs/promises';
import { CAPABILITIES_FILE } from '../../src/policy/compiler/capabilities.ts';
import type { Compiler } from '../../src/policy/compiler/compiler.ts';
import { resultOf } from '../../src/policy/make.ts';

/**
 * What a policy may call: what OPA's compiler turns into WebAssembly itself (its `internal/compiler/wasm`, 1.22). All
 * of it is pure. The rest (time, http, crypto, sprintf, …) would need a host, and is an error when a policy is built.
 * String interpolation is left out too: opa-wasm 1.10 lacks its built-in.
 *
 * Left out although WebAssembly has them, since a policy that OPA's tests show to deny could allow there, or fail where
 * nobody expects it: base64.is_valid, base64.decode, base64url.decode (take more than base64), json.is_valid,
 * json.unmarshal (`[1,]`, `1 2`), bits.* (a computed 1.0 is no integer), object.union_n (undefined for []), format_int
 * (traps from 2^31 on), to_number (`-` is 0). What differs in the rest: test/policy/compiler/known-differences.ts.
 */
const NATIVE = new Set(
  `plus minus mul div abs round ceil floor rem
   array.concat array.flatten array.reverse array.slice and or intersection union
   is_number is_string is_boolean is_array is_set is_object is_null type_name
   count sum product max min sort numbers.range
   base64.encode base64url.encode
   net.cidr_contains net.cidr_intersects
   assign eq equal gt gte lt lte neq internal.member_2 internal.member_3
   glob.match regex.is_valid regex.match regex.find_all_string_submatch_n
   json.marshal json.filter json.remove
   object.filter object.get object.keys object.remove object.union
   concat indexof substring lower upper contains startswith endswith strings.reverse split replace
   strings.replace_n trim trim_left trim_prefix trim_right trim_suffix trim_space
   walk graph.reachable`.split(/\s+/),
);

const FEATURES = new Set(['rego_v1', 'keywords_in_refs']);

/** Text of policies/capabilities.json. Throws when OPA does not know a name any more. */
export async function capabilitiesText(compiler: Compiler): Promise<string> {
  const current = resultOf(await compiler.capabilities());
  const builtins = current.builtins.filter(({ name }) => NATIVE.has(name));
  const missing = [...NATIVE].filter((name) => !builtins.some((builtin) => builtin.name === name));
  if (missing.length > 0)
    throw new Error(`this OPA has no built-in ${missing.join(', ')}: mend tools/bundles/capabilities.ts`);
  const features = (current.features ?? []).filter((feature) => FEATURES.has(feature));
  const rest = JSON.stringify({ ...current, builtins: undefined, features, allow_net: [] }).slice(1);
  return `{"builtins":[\n${builtins.map((builtin) => JSON.stringify(builtin)).join(',\n')}\n],\n${rest}\n`;
}

/** Whether the file stood otherwise. With `keep` it is left as it is. */
export async function updateCapabilities(compiler: Compiler, keep: boolean): Promise<boolean> {
  const text = await capabilitiesText(compiler);
  const stale = (await readFile(CAPABILITIES_FILE, 'utf8').catch(() => '')) !== text;
  if (stale && !keep) await writeFile(CAPABILITIES_FILE, text);
  return stale;
}
