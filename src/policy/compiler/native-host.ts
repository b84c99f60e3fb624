import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { environment, opaEnvironment } from '../../config/environment.ts';
import { boundAnswer } from './bound-answer.ts';
import { problemsInJson, problemsInText } from './native-problems.ts';
import { testsOf } from './native-tests.ts';
import {
  type Capabilities,
  failed,
  type OpaHost,
  type RawAnswer,
  type RawProblem,
  type RawRequest,
  timedOut,
} from './protocol.ts';

/**
 * The `opa` command behind the same calls, in a temporary folder for each. It answers the same, but for: no traces of
 * failed tests, no coverage by rule, no column where OPA writes none, and no facts for
 * a lint. As the module, which has no network and no environment, it runs nothing that reaches beyond its files: tests of a
 * repository are whoever's may push to it, and run before anybody has accepted them.
 */
export function nativeHost(binary: string, version: string): OpaHost {
  let current: Promise<Capabilities> | null = null;
  const harmless = () => {
    current ??= run(binary, ['capabilities', '--current'], tmpdir(), 10_000).then(({ stdout }) =>
      withoutReach(JSON.parse(stdout)),
    );
    return current;
  };
  return {
    kind: 'native',
    version,
    async ask(request, timeLimitMs, bounds) {
      const folder = await mkdtemp(join(tmpdir(), 'lemma-opa-'));
      try {
        const answer = await perform({
          binary,
          folder,
          harmless,
          request,
          timeLimitMs,
          maxOutput: bounds?.bytes ?? MAX_OUTPUT,
        });
        return bounds === undefined ? answer : boundAnswer(answer, request.op, bounds);
      } catch (cause) {
        if (cause instanceof TimedOut) return timedOut(request.op, timeLimitMs, null);
        throw cause;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    close: () => Promise.resolve(),
  };
}

/** The version of an `opa` that can be run and speaks Rego v1; null for any other. */
export async function versionOf(binary: string): Promise<string | null> {
  try {
    const { stdout } = await run(binary, ['version'], tmpdir(), 10_000);
    return /^Version: (1\.\S+)/m.exec(stdout)?.[1] ?? null;
  } catch {
    return null;
  }
}

interface Task {
  readonly binary: string;
  readonly folder: string;
  /** All that OPA has and that stays within it. */
  readonly harmless: () => Promise<Capabilities>;
  readonly request: RawRequest;
  readonly timeLimitMs: number;
  /** Bytes of each stream; `opa` is ended beyond it. */
  readonly maxOutput: number;
}

interface Output {
  /** Null: it was ended because of too much output. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

class TimedOut extends Error {}

/** What a rule could send to others, or learn of this machine. */
const REACHING: ReadonlySet<string> = new Set(['http.send', 'net.lookup_ip_addr', 'opa.runtime']);

function withoutReach({ builtins, ...rest }: Capabilities): Capabilities {
  return { ...rest, builtins: builtins.filter(({ name }) => !REACHING.has(name)) };
}

/** Besides the files, in a folder where none of theirs can be. */
const OWN = '.lemma';
const MAX_OUTPUT = 256 << 20;

async function perform(task: Task): Promise<RawAnswer> {
  const { files = {} } = task.request;
  for (const [path, text] of Object.entries(files)) await put(task.folder, path, text);
  switch (task.request.op) {
    case 'version':
    case 'explain':
      return failed(
        'compiler_unavailable',
        `\`opa\` cannot ${task.request.op}: build the compiler with \`npm run compiler\` (needs Go 1.26)`,
      );
    case 'capabilities':
      return succeeded(JSON.parse((await opa(task, ['capabilities', '--current'])).stdout));
    case 'check':
      return check(task);
    case 'review':
      return review(task);
    case 'fmt':
      return format(task, files);
    case 'build':
      return build(task);
    case 'test':
      return test(task);
    case 'eval':
      return evaluate(task);
  }
}

async function check(task: Task): Promise<RawAnswer> {
  const args = ['check', ...(await limits(task)), ...strictly(task), '--max-errors', '100', ...roots(task)];
  const found = await opa(task, [...args, '--format', 'json']);
  if (found.code === 0) return succeeded();
  const problems = problemsInJson(found.stderr) ?? problemsInText(found.stderr);
  // The details are prose in the other format alone.
  const inWords = problemsInText((await opa(task, args)).stderr);
  const detailsOf = ({ file, row, message }: RawProblem) =>
    inWords.find((each) => each.file === file && each.row === row && each.message === message)?.details ?? [];
  return refused(problems.map((problem) => ({ ...problem, details: detailsOf(problem) })));
}

async function review(task: Task): Promise<RawAnswer> {
  const { request } = task;
  const { files = {}, tests = [] } = request;
  const own = Object.keys(files).filter((path) => path.endsWith('.rego') && !tests.includes(path));
  const { schema: _, ...rest } = request;
  const checks = [
    ...(own.length > 0 ? [await check({ ...task, request: { ...request, paths: own } })] : []),
    await check({ ...task, request: { ...rest, capabilities: null } }),
  ];
  const errors = checks.flatMap((answer) => answer.errors);
  return errors.length > 0 ? refused(errors) : succeeded();
}

async function format(task: Task, files: { readonly [path: string]: string }): Promise<RawAnswer> {
  const formatted: Record<string, string> = {};
  const changed: string[] = [];
  const problems: RawProblem[] = [];
  for (const path of Object.keys(files)
    .filter((name) => name.endsWith('.rego'))
    .sort()) {
    const { code, stdout, stderr } = await opa(task, ['fmt', path]);
    if (code !== 0) problems.push(...problemsInText(stderr));
    else {
      formatted[path] = stdout;
      if (stdout !== files[path]) changed.push(path);
    }
  }
  const result = { files: formatted, changed };
  return problems.length > 0 ? { ...refused(problems), result } : succeeded(result);
}

async function build(task: Task): Promise<RawAnswer> {
  const { entrypoints = [], revision = '' } = task.request;
  const named = revision === '' ? [] : ['--revision', revision];
  const args = ['build', '-t', 'wasm', ...entrypoints.flatMap((each) => ['-e', each]), ...named];
  const archive = `${OWN}/bundle.tar.gz`;
  await put(task.folder, `${OWN}/empty`, '');
  const { code, stdout, stderr } = await opa(task, [
    ...args,
    ...(await limits(task, false)),
    '-o',
    archive,
    ...roots(task),
  ]);
  if (code !== 0) return refused(problemsInText(stdout + stderr));
  return succeeded({ bundle: (await readFile(join(task.folder, archive))).toString('base64') });
}

async function test(task: Task): Promise<RawAnswer> {
  const { run: only, coverage = false } = task.request;
  const filter = only === undefined ? [] : ['--run', only];
  const args = ['test', '--format', 'json', ...(await limits(task)), ...filter];
  const { stdout, stderr } = await opa(task, [...args, ...roots(task)]);
  const found: unknown = stdout.trim() === '' ? [] : JSON.parse(stdout);
  if (!Array.isArray(found) || (found.length === 0 && stderr.trim() !== ''))
    return refused(problemsInText(stderr));
  const tests = testsOf(found);
  if (!coverage) return succeeded({ tests });
  const report = await opa(task, [...args, '--coverage', '--coverage-runs=', ...roots(task)]);
  return succeeded({ tests, coverage: { ...(JSON.parse(report.stdout) as object), rules: null } });
}

async function evaluate(task: Task): Promise<RawAnswer> {
  const { query = '', input, trace, strict_builtin_errors: strictErrors = false } = task.request;
  const args = [
    'eval',
    ...(await limits(task)),
    ...strictly(task),
    ...roots(task).flatMap((root) => ['-d', root]),
  ];
  if (strictErrors) args.push('--strict-builtin-errors');
  if (input !== undefined) {
    await put(task.folder, `${OWN}/input.json`, input);
    args.push('-i', `${OWN}/input.json`);
  }
  const { code, stdout, stderr } = await opa(task, [...args, '--format', 'json', '--', query]);
  if (code === null) return failed('answer_too_large', `evaluation gave more than ${task.maxOutput} bytes`);
  const problems = problemsInJson(stdout);
  if (problems !== null && problems.length > 0) return refused(problems);
  if (stdout.trim() === '') return refused(problemsInText(stderr));
  const { result = [] } = JSON.parse(stdout) as { result?: unknown[] };
  if (trace === undefined) return succeeded({ results: result, output: stderr, trace: [] });
  const traced = await opa(task, [...args, '--explain', trace, '--format', 'pretty', '--', query]);
  return succeeded({
    results: result,
    output: stderr,
    trace: traceIn(traced.stdout),
    trace_cut: traced.code === null,
  });
}

/** OPA prints the trace's lines first, each with its place, and then the result. */
function traceIn(text: string): string[] {
  const lines = text.split('\n');
  const end = lines.findIndex((line) => !/^\S+:\d+ +(?:\| )*[A-Z][a-z]+ /.test(line));
  return lines.slice(0, end === -1 ? lines.length : end);
}

async function limits({ folder, harmless, request }: Task, withSchema = true): Promise<string[]> {
  const capabilities = request.capabilities ?? (await harmless());
  await put(folder, `${OWN}/capabilities.json`, JSON.stringify(capabilities));
  const args = ['--capabilities', `${OWN}/capabilities.json`];
  if (withSchema && request.schema !== undefined) {
    await put(folder, `${OWN}/schema.json`, JSON.stringify(request.schema));
    args.push('--schema', `${OWN}/schema.json`);
  }
  return args;
}

function strictly({ request }: Task): string[] {
  return request.strict === true ? ['--strict'] : [];
}

function roots({ request: { paths = [], files = {} } }: Task): string[] {
  if (paths.length > 0) return [...paths];
  return [...new Set(Object.keys(files).map((path) => path.split('/', 1)[0] ?? path))].sort();
}

async function put(folder: string, path: string, text: string): Promise<void> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

function opa({ binary, folder, timeLimitMs, maxOutput }: Task, args: readonly string[]): Promise<Output> {
  return run(binary, args, folder, timeLimitMs, maxOutput);
}

function run(
  binary: string,
  args: readonly string[],
  cwd: string,
  timeout: number,
  maxBuffer = MAX_OUTPUT,
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const env = opaEnvironment(environment());
    const options = { cwd, env, timeout, killSignal: 'SIGKILL', maxBuffer } as const;
    execFile(binary, args, options, (cause, stdout, stderr) => {
      if (cause === null) resolve({ code: 0, stdout, stderr });
      else if (cause.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') resolve({ code: null, stdout, stderr });
      else if (cause.killed) reject(new TimedOut());
      else if (typeof cause.code === 'number') resolve({ code: cause.code, stdout, stderr });
      else reject(cause);
    });
  });
}

function succeeded(result?: unknown): RawAnswer {
  return { ok: true, errors: [], ...(result === undefined ? {} : { result }) };
}

function refused(errors: readonly RawProblem[]): RawAnswer {
  return { ok: false, errors };
}
