/** What OPA's evaluator gives, and what the engine does: a value as JSON, `undefined`, or the code it denies with. */
export interface Difference {
  readonly expression: string;
  /** `a` and `b`, as JSON. */
  readonly args: readonly string[];
  readonly opa: string;
  readonly engine: string;
}

function difference(expression: string, args: readonly string[], opa: string, engine: string): Difference {
  return { expression, args, opa, engine };
}

/**
 * Where OPA's evaluator (`lemma policy test`) and its WebAssembly differ in what a policy may call. An OPA that mends
 * one makes the test say so. The README names those that an author may meet.
 */
export const KNOWN_DIFFERENCES: readonly Difference[] = [
  difference('replace(a, "", "x")', ['"ab"'], '"xaxbx"', 'policy_timeout'),
  difference('a / b', ['0', '0'], 'undefined', 'policy_error'),
  difference('indexof(a, "")', ['"ab"'], 'undefined', '0'),
  difference('net.cidr_contains("10.0.0.0/8", a)', ['"::ffff:10.0.0.1"'], 'true', 'false'),
  difference('glob.match("**", ["."], a)', ['"a\\nb"'], 'true', 'false'),
  difference('json.filter(a, [""])', ['{"a": 1}'], '{}', 'policy_error'),
  difference('json.remove(a, [""])', ['{"a": 1}'], '{"a":1}', 'policy_error'),
  difference('regex.match("(?<n>a)", a)', ['"a"'], 'true', 'undefined'),
  difference('regex.is_valid(a)', ['"(?<n>a)"'], 'true', 'false'),
  difference('ceil(a)', ['-0.5'], '1', '0'),
  difference('floor(a)', ['-0.5'], '0', '-1'),
  difference('ceil(a)', ['3.0000000000000000001'], '3', '4'),
  difference('a - b', ['3', '3.0000000000000000001'], '0', '-1e-19'),
  difference('a / b', ['1', '65'], '0.015384615384615384616', '0.0153846153846153846'),
  difference('0.0, 1 in a', ['[1]'], 'true', 'false'),
  difference('concat("", {x | some x in a})', ['["a", "b"]'], '"ab"', '"ba"'),
  difference('json.marshal({x | some x in a})', ['["a", "b"]'], '"[\\"a\\",\\"b\\"]"', '"[\\"b\\",\\"a\\"]"'),
  difference('json.marshal(a)', ['"<&>"'], '"\\"\\\\u003c\\\\u0026\\\\u003e\\""', '"\\"<&>\\""'),
];
