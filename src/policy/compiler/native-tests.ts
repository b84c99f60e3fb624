/** What `opa test --format json` wrote, as the compiler inside Node says it, in the order of the files. */
export function testsOf(found: readonly NativeTest[]) {
  return found.map(testOf).sort((a, b) => (a.file === b.file ? a.row - b.row : a.file < b.file ? -1 : 1));
}

export interface NativeTest {
  readonly location: { readonly file: string; readonly row: number };
  readonly package: string;
  readonly name: string;
  readonly fail?: boolean;
  readonly skip?: boolean;
  readonly error?: {
    readonly code?: string;
    readonly message?: string;
    readonly location?: { file: string; row: number; col: number };
  };
  readonly duration: number;
  readonly output?: string;
  readonly sub_results?: SubResults;
}

interface SubResults {
  readonly [name: string]: { readonly fail?: boolean; readonly sub_results?: SubResults };
}

function testOf(found: NativeTest) {
  const { location, error } = found;
  const problem = error && {
    code: error.code ?? 'opa_error',
    message: error.message ?? '',
    file: error.location?.file ?? '',
    row: error.location?.row ?? 0,
    col: error.location?.col ?? 0,
    details: [],
  };
  return {
    file: location.file,
    row: location.row,
    package: found.package,
    name: found.name,
    outcome: error ? 'error' : found.skip ? 'skip' : found.fail ? 'fail' : 'pass',
    ...(problem ? { error: problem } : {}),
    duration_ns: found.duration,
    output: Buffer.from(found.output ?? '', 'base64').toString('utf8'),
    trace: [],
    cases: casesOf(found.sub_results ?? {}, []),
  };
}

function casesOf(
  results: SubResults,
  above: readonly string[],
): { name: readonly string[]; pass: boolean }[] {
  return Object.entries(results)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, { fail, sub_results: below = {} }]) =>
      Object.keys(below).length > 0
        ? casesOf(below, [...above, name])
        : [{ name: [...above, name], pass: fail !== true }],
    );
}
