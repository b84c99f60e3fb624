import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { publicKeyOf, randomBytes } from '#runtime';
import { loadConfig } from '../config/load.ts';
import { makeFolder } from '../config/make-folder.ts';
import { toBase64url } from '../crypto/base64url.ts';
import { encodeCredential } from '../proof/issue.ts';
import { apiRoutes } from '../request/firewall.ts';
import { ID_PATTERN, PROFILES } from '../schema/common.ts';
import type { Config } from '../schema/config.ts';
import type { CredentialJson } from '../schema/lemma.ts';
import { type Call, collect, listOption, type Result, textOption } from './command.ts';
import { controlApi, defineControlOptions, member } from './control-api.ts';
import { CliError, misuse } from './exit.ts';
import { type ControlChannel, findFirewall, runningFirewall } from './local/control-channel.ts';
import { startDetached } from './local/detach.ts';
import { dataFolder, openHome } from './local/folder.ts';
import { newPassphrase } from './local/passphrase.ts';
import { baseFor } from './local/place.ts';
import { type RuntimeFiles, runtimeFiles, writeRuntime } from './local/runtime-files.ts';
import { readSession } from './local/state.ts';
import type { FirewallStatus, StatusApi } from './local/status.ts';
import { trialApi, type Verification, verifyDecision } from './local/verify.ts';
import { checkCommand, shown } from './next-steps.ts';

const ANSWER_MS = 2000;

export function define(command: Command): void {
  defineControlOptions(command);
  command
    .option('--runtime-id <id>', 'The runtime (default: LEMMA_RUNTIME_ID)')
    .option('--agent-id <id>', 'The agent that runs in it (default: LEMMA_AGENT_ID)')
    .option('--workspace-id <id>', 'Where it works (default: LEMMA_WORKSPACE_ID)')
    .addOption(new Option('--profile <profile>', 'Lowest profile that decides about it').choices(PROFILES))
    .option(
      '--scope <scope>',
      'What it may do; again for more (default: what low-risk routes ask for)',
      collect,
    )
    .option(
      '--audience <origin>',
      'What its proof is for; again for more (default: of low-risk routes)',
      collect,
    )
    .option('--no-start', 'Neither start nor reload nor try the local firewall')
    .option('--seal-key', 'Seal its private key by a passphrase (LEMMA_KEY_PASSPHRASE, else asked for)');
}

/**
 * Registers the runtime and gets its proof. The private key is made here and stays here; written to the data
 * folder, each 0600: `<runtime>.proof.json` (the credential), `<runtime>.credential` (its header's value) and
 * `<runtime>.key` (seed, base64url; sealed with `--seal-key`). Then the local firewall is tried with it: started where there is
 * none, reloaded where there is one.
 */
export async function run(call: Call): Promise<Result> {
  const identity = identityOf(call);
  const files = filesFor(dataFolder(call), identity.runtime_id);
  const firewall = call.options.start === false ? null : await firewallFor(call);
  const config = configAtHand(call);
  const grant = grantOf(call, firewall === null ? lowRisk(config) : firewall.status.apis.filter(isLow));
  const profile = textOption(call.options, 'profile');
  const api = controlApi(call);
  const passphrase = call.options.sealKey === true ? await newPassphrase(call) : null;

  const seed = randomBytes(32);
  const key = toBase64url(publicKeyOf(seed));
  await api.post(
    '/api/wallet/runtimes/bootstrap',
    profile === undefined ? identity : { ...identity, profile },
  );
  const request = { runtime_id: identity.runtime_id, key, ...grant };
  const issued = await api.post('/api/wallet/runtimes/issue-proof', request);
  const credential = credentialFor(issued.credential, identity.runtime_id, key);

  makeFolder(dirname(files.proof), 0o700);
  await writeRuntime(files, { seed, credential, passphrase });
  const header = encodeCredential(credential as CredentialJson);
  const trial = firewall === null ? null : await tryFirewall(firewall, api.base, { header, seed, ...grant });
  const steps = config === null ? null : { program: call.program, folder: call.folder, config };
  const check = steps === null ? null : checkCommand(steps, files.credential);
  const credentialFile = shown(files.credential, call.folder);
  const next =
    trial?.url === undefined ? check : `curl -H "X-Lemma-Credential: $(cat ${credentialFile})" ${trial.url}`;
  const { runtime: _, ...paths } = files;
  return {
    data: {
      ...identity,
      ...grant,
      expires_at: issued.expires_at ?? null,
      files: paths,
      firewall: firewall === null ? null : { listen: firewall.status.listen, ...trial },
      next,
    },
    lines: [
      `${identity.runtime_id} is connected to ${api.base}`,
      `  scope     ${grant.scope.join(' ') || '(none)'}`,
      `  audience  ${grant.audience.join(' ')}`,
      `  proof     ${shown(files.proof, call.folder)}`,
      `  key       ${shown(files.key, call.folder)}`,
      `  header    X-Lemma-Credential: $(cat ${credentialFile})`,
      ...(firewall === null ? [] : [`  firewall  ${firewall.status.listen}`]),
      ...(trial?.lines ?? []),
      ...(next === null ? [] : ['Next:', next]),
    ],
  };
}

export interface RunningFirewall {
  readonly channel: ControlChannel;
  readonly status: FirewallStatus;
}

/**
 * The local firewall, with the configuration of now. Where none runs, one is started if it can have state: the session's
 * control plane, or, where nobody named one and none answers, its own. Null: there is none, and none was called for.
 */
export async function firewallFor(call: Call): Promise<RunningFirewall | null> {
  const home = openHome(call);
  const found = await findFirewall(home);
  if (found?.running === true) {
    await found.channel.post('/reload');
  } else {
    const session = readSession(home);
    const base = baseFor(call);
    const named = textOption(call.options, 'apiBase') ?? call.env.LEMMA_BASE_URL;
    const follows = session?.api_base === base && session.permissions.includes('nodes.connect');
    if (!follows && (named !== undefined || session?.api_base === base || (await answers(base)))) return null;
    if (!call.json) call.terminal.note('No local firewall is running: it is started in the background');
    await startDetached({ ...call, options: { ...call.options, config: undefined } }, home);
  }
  const { channel } = await runningFirewall(home, call.program);
  const status = (await channel.get('/status')) as unknown as FirewallStatus;
  return { channel, status };
}

async function answers(base: string): Promise<boolean> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  return fetch(`${base}/healthz`, { signal }).then(
    () => true,
    () => false,
  );
}

interface Trial {
  /** Of what was tried; absent: nothing was. */
  readonly url?: string;
  readonly verified: Verification | null;
  readonly lines: readonly string[];
}

/** Throws CliError `verification_failed`. */
async function tryFirewall(
  { channel, status }: RunningFirewall,
  base: string,
  held: Parameters<typeof verifyDecision>[3],
): Promise<Trial> {
  if (status.control_plane !== base) {
    const message = `it follows ${status.control_plane}, not ${base}: nothing was tried`;
    return { verified: null, lines: [`            ${message}`] };
  }
  const api = trialApi(status, held);
  if (api === null)
    return {
      verified: null,
      lines: ['            no low-risk api that may be read is in reach: nothing was tried'],
    };
  const verified = await verifyDecision(channel, status, api, held);
  const { method, url, without_proof: without, with_proof: proven } = verified;
  return {
    url,
    verified,
    lines: [
      `Tried: ${method} ${url}`,
      `  without   ${without.verdict} ${without.reason} (${without.status}, decision ${without.decision_id})`,
      `  with      ${proven.verdict} ${proven.reason} (${proven.status}, decision ${proven.decision_id})`,
    ],
  };
}

function identityOf(call: Call) {
  return {
    runtime_id: idOption(call, 'runtimeId', '--runtime-id', call.env.LEMMA_RUNTIME_ID),
    agent_id: idOption(call, 'agentId', '--agent-id', call.env.LEMMA_AGENT_ID),
    workspace_id: idOption(call, 'workspaceId', '--workspace-id', call.env.LEMMA_WORKSPACE_ID),
  };
}

const ID = new RegExp(ID_PATTERN);

function idOption(call: Call, name: string, flag: string, fallback: string | undefined): string {
  const id = textOption(call.options, name) ?? fallback;
  if (id === undefined) throw misuse(`${flag} <id> is missing`);
  if (!ID.test(id))
    throw misuse(`${flag} must be 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit, not "${id}"`);
  return id;
}

/** A key file without a proof beside it is somebody else's: `operator.key`, say. */
function filesFor(folder: string, runtime: string): RuntimeFiles {
  const files = runtimeFiles(folder, runtime);
  if (existsSync(files.key) && !existsSync(files.proof)) {
    throw misuse(`${files.key} is no runtime's key and would be lost: choose another --runtime-id`);
  }
  return files;
}

/** The folder's own configuration, for defaults and examples; a control plane elsewhere has another. */
function configAtHand(call: Call): Config | null {
  try {
    return loadConfig({ flags: {}, env: call.env, cwd: call.folder }).config;
  } catch {
    return null;
  }
}

interface Reachable {
  readonly scope: readonly string[];
  readonly audience: string;
}

function isLow({ risk }: StatusApi): boolean {
  return risk === 'low';
}

/** Of the routes and the firewall's apis. */
function lowRisk(config: Config | null): Reachable[] {
  if (config === null) return [];
  const apis = apiRoutes(config.firewall?.apis ?? [], config);
  return [...config.routes, ...apis].filter((route) => route.risk === 'low' && !route.public);
}

function grantOf(call: Call, low: readonly Reachable[]): { scope: string[]; audience: string[] } {
  const given = { scope: listOption(call.options, 'scope'), audience: listOption(call.options, 'audience') };
  const scope = given.scope.length > 0 ? given.scope : [...new Set(low.flatMap((route) => route.scope))];
  const audience =
    given.audience.length > 0 ? given.audience : [...new Set(low.map((route) => route.audience))];
  if (scope.length === 0) throw misuse('--scope is missing, and no low-risk route here asks for one');
  if (audience.length === 0) throw misuse('--audience is missing, and no low-risk route here has one');
  return { scope, audience };
}

/** A proof for another key or runtime would be of no use, and its presence a sign of trouble. */
function credentialFor(credential: unknown, runtime: string, key: string): object {
  if (typeof credential !== 'object' || credential === null) {
    throw new CliError('answer_invalid', 'the control plane sent no credential');
  }
  if (member(credential, 'key') !== key || member(credential, 'claims', 'runtime_id') !== runtime) {
    throw new CliError('answer_invalid', 'the control plane sent a credential for another key or runtime');
  }
  return credential;
}
