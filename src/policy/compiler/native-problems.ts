import type { RawProblem } from './protocol.ts';

/** What `opa … --format json` wrote under `errors`; null when it wrote no JSON. */
export function problemsInJson(text: string): RawProblem[] | null {
  const found = parsed(text);
  if (found === null) return null;
  return (found.errors ?? []).map(({ code = 'opa_error', message = '', location }) => ({
    code,
    message,
    file: location?.file ?? '',
    row: location?.row ?? 0,
    col: location?.col ?? 0,
    details: [],
  }));
}

const PREFIX =
  /^(?:error: |load error: |failed to format Rego source file: )?(?:\d+ errors? occurred(?: during loading)?: ?)?/;
const PROBLEM = /^(?:(.+?):(\d+): )?([a-z]+_\w+): (.*)$/;

/** What OPA wrote for a person: `file:row: code: message`, and indented lines that belong to it. */
export function problemsInText(text: string): RawProblem[] {
  const problems: { -readonly [K in keyof RawProblem]: RawProblem[K] }[] = [];
  for (const line of text.split('\n').map((each) => each.replace(PREFIX, ''))) {
    const last = problems.at(-1);
    if (line.startsWith('\t') && last !== undefined) last.details = [...last.details, line.slice(1)];
    else if (line.trim() !== '') problems.push(problemIn(line));
  }
  return problems;
}

function problemIn(line: string): RawProblem {
  const [, file = '', row = '0', code, message] = PROBLEM.exec(line) ?? [];
  if (code === undefined || message === undefined)
    return { code: 'opa_error', message: line, file: '', row: 0, col: 0, details: [] };
  return { code, message, file, row: Number(row), col: 0, details: [] };
}

interface Found {
  readonly errors?: readonly {
    readonly code?: string;
    readonly message?: string;
    readonly location?: { readonly file?: string; readonly row?: number; readonly col?: number };
  }[];
}

function parsed(text: string): Found | null {
  try {
    return JSON.parse(text) as Found;
  } catch {
    return null;
  }
}
