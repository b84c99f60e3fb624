import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readJson } from '../crypto/json.ts';
import type { Bundle } from '../policy/bundle.ts';
import { compileEngine } from '../policy/engine.ts';
import { review } from '../policy/lint.ts';
import { makeBundle, resultOf } from '../policy/make.ts';
import { decisionQuery, evaluatedFiles } from '../policy/tracer.ts';
import { PROFILES, type Profile } from '../schema/common.ts';
import { policyInputSchema } from '../schema/input.ts';
import { opaEnvoyInputSchema } from '../schema/opa-envoy-input.ts';
import { checker } from '../schema/validate.ts';
import { type Call, type Result, textOption } from './command.ts';
import { CliError, EXIT, misuse } from './exit.ts';
import { readBundles } from './policy-bundle-files.ts';
import { explained, withCompiler } from './policy-errors.ts';
import { readPolicies } from './policy-folder.ts';

export function define(command: Command): void {
  command
    .argument('[path]', "Folder of policies (default: ./policies, else the package's own)")
    .requiredOption('--profile <name>', PROFILES.join(', '))
    .requiredOption('--input <file>', 'Input document, JSON')
    .option('--bundle <dir>', 'A bundle, or a folder of bundles, instead of the policies')
    .option('--trace', 'Show what OPA evaluated on the way');
}

/** What the service's own engine says to an input; with the compiler, how OPA gets there. */
export async function run(call: Call): Promise<Result> {
  const profile = PROFILES.find((one) => one === call.options.profile);
  if (profile === undefined) throw misuse(`--profile must be one of ${PROFILES.join(', ')}`);
  const document = readInput(call);
  const bundle = await bundleFor(call, profile);
  warnOf(call, document.value, bundle);
  const input = document.bytes;
  const { result, resultJson, steps } = await explained(async () =>
    (await compileEngine(bundle, { spare: false })).evaluate(input),
  );
  const trace = call.options.trace === true ? await traceOf(bundle, input) : null;
  const { name, revision, sha256 } = bundle;
  return {
    data: { bundle: { name, revision, sha256 }, result, steps, trace },
    lines: [
      ...(trace ?? []),
      `${revision}, ${steps} steps:`,
      JSON.stringify(JSON.parse(resultJson), null, 2),
    ],
  };
}

const checkInput = checker(policyInputSchema);
const checkAdapted = checker(opaEnvoyInputSchema);

function warnOf(call: Call, value: unknown, bundle: Bundle): void {
  const { adapter } = bundle.manifest.metadata.lemma;
  const checked = adapter === undefined ? checkInput(value) : checkAdapted(value);
  if (checked.ok) return;
  for (const { field, message } of checked.problems)
    call.terminal.note(`warning: the service sends no such input: ${field}: ${message}`);
}

function readInput(call: Call): Document {
  const { bytes, value } = readDocument(resolve(call.folder, textOption(call.options, 'input') ?? ''));
  // The engine takes the object alone, without the line feed of a file.
  return { bytes: new TextEncoder().encode(new TextDecoder().decode(bytes).trim()), value };
}

interface Document {
  readonly bytes: Uint8Array;
  readonly value: unknown;
}

function readDocument(path: string): Document {
  try {
    const bytes = readFileSync(path);
    return { bytes, value: readJson(bytes, { maxDepth: 64, numbers: 'exact' }).value };
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new CliError('input_invalid', `${path} cannot be read as JSON: ${problem}`, EXIT.misused);
  }
}

function bundleFor(call: Call, profile: Profile): Promise<Bundle> {
  const named = textOption(call.options, 'bundle');
  if (named === undefined)
    return withCompiler(async (compiler) => {
      const policies = await readPolicies(call, call.args[0]);
      policies.resultOf(await review(compiler, policies));
      return makeBundle(compiler, policies.root, profile);
    });
  return explained(async () => {
    const found = (await readBundles(call.folder, named)).find(({ bundle }) => bundle.name === profile);
    if (found !== undefined) return found.bundle;
    throw new CliError('bundle_missing', `${named} holds no bundle of ${profile}`, EXIT.misused);
  });
}

/** Of OPA itself, on the Rego in the bundle. */
function traceOf(bundle: Bundle, input: Uint8Array): Promise<readonly string[]> {
  const request = { files: evaluatedFiles(bundle), query: decisionQuery(bundle), trace: 'full' } as const;
  return withCompiler(
    async (compiler) =>
      resultOf(await compiler.eval({ ...request, input: new TextDecoder().decode(input) })).trace,
  );
}
