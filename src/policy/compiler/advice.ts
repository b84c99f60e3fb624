/**
 * What to write instead of a built-in that a policy may not call, by its name or the longest beginning of it that is
 * listed here.
 */
const ADVICE = new Map([
  ['time.now_ns', 'use input.now (milliseconds since 1970), the one clock that a policy has'],
  [
    'time.',
    'compare times as numbers: input.now is in milliseconds, issued_at and expires_at are in seconds',
  ],
  [
    'http.send',
    'a policy reads no network: have the fact in the input (runtime state, proof) or in data.json',
  ],
  ['net.lookup_ip_addr', 'a policy asks no name server: have the address in the input or in data.json'],
  ['net.', 'use net.cidr_contains or net.cidr_intersects'],
  ['sprintf', 'use concat("", [...]) with json.marshal for numbers'],
  ['internal.template_string', 'use concat("", [...]) with json.marshal for numbers instead of $"…"'],
  ['print', 'take it out; `lemma policy eval --trace` shows what was evaluated'],
  ['trace', 'take it out; `lemma policy eval --trace` shows what was evaluated'],
  ['regex.replace', 'use replace or strings.replace_n'],
  ['regex.split', 'use split'],
  ['regex.', 'use regex.match or regex.find_all_string_submatch_n'],
  ['glob.', 'use glob.match'],
  ['strings.any_prefix_match', 'use some prefix in prefixes; startswith(text, prefix)'],
  ['strings.any_suffix_match', 'use some suffix in suffixes; endswith(text, suffix)'],
  ['strings.count', 'use count(split(text, part)) - 1'],
  ['strings.render_template', 'use concat("", [...])'],
  ['object.subset', 'compare the members: every key, value in sub { super[key] == value }'],
  ['object.union_n', 'use object.union'],
  ['json.is_valid', 'the body is parsed already, strictly: input.request.body.json'],
  [
    'json.unmarshal',
    'the body is parsed already, strictly: input.request.body.json; have other facts in the input or in data.json',
  ],
  ['json.match_schema', 'check the members with is_string, is_number, …'],
  ['json.verify_schema', 'check the members with is_string, is_number, …'],
  ['json.patch', 'use object.union and json.remove'],
  ['json.marshal_with_options', 'use json.marshal'],
  ['yaml.', 'have it as JSON in the input or in data.json'],
  ['hex.', 'use base64.encode'],
  ['base64.', 'encode what you compare it with: base64.encode'],
  ['urlquery.', 'the query is parsed already: input.request.query'],
  ['base64url.encode_no_pad', 'use trim_right(base64url.encode(text), "=")'],
  ['base64url.', 'encode what you compare it with: base64url.encode'],
  ['crypto.', 'signatures and digests are checked before the policy: read input.proof'],
  ['io.jwt.', 'tokens are checked before the policy: read input.proof and input.subject'],
  ['rand.', 'a policy has no randomness, or no decision could be explained later'],
  ['uuid.', 'a policy has no randomness, or no decision could be explained later'],
  ['opa.runtime', 'a policy knows its input and its data alone: put the setting into data.json'],
  ['rego.', 'a policy cannot look at itself: put what it needs into data.json'],
  ['semver.', 'list the versions that are meant in data.json'],
  ['units.', 'write the number of bytes or milliseconds into data.json'],
  ['graph.', 'use graph.reachable or walk'],
  ['graphql.', 'have the operation as a fact in the input'],
  ['providers.aws.', 'a policy signs nothing: have the fact in the input'],
  ['bits.', 'keep flags as a list of names: "read" in flags'],
  ['format_int', 'use json.marshal(number)'],
  ['to_number', 'have it as a number: in input.request.body.json or in data.json'],
  ['cast_', 'use is_array, is_string, is_number, …'],
  ['set_diff', 'use the operator -'],
  ['re_match', 'use regex.match'],
  ['any', 'use some x in xs; x == true'],
  ['all', 'use every x in xs { x == true }'],
]);

const UNDEFINED_FUNCTION = /^undefined function ([\w.]+)$/;
const STRING_INTERPOLATION = /string interpolation|template string/i;

/** Advice for an error of OPA's check; null where there is none. */
export function adviceOn(message: string): string | null {
  if (STRING_INTERPOLATION.test(message)) return adviceFor('internal.template_string');
  const name = UNDEFINED_FUNCTION.exec(message)?.[1];
  return name === undefined ? null : adviceFor(name);
}

/** What to write instead of a built-in; null where nothing is known. */
export function adviceFor(name: string): string | null {
  const exact = ADVICE.get(name);
  if (exact !== undefined) return exact;
  const group = [...ADVICE.keys()].find((key) => /[._]$/.test(key) && name.startsWith(key));
  return group === undefined ? null : (ADVICE.get(group) ?? null);
}
