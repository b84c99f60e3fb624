import { KeyFileError } from '../../../authority/secret-file.ts';
import { ConfigError } from '../../../config/error.ts';
import { type LoadedConfig, loadConfig } from '../../../config/load.ts';
import { DEFAULT_FIREWALL } from '../../../schema/config.ts';
import type { SessionState } from '../../../schema/local-state.ts';
import { type Call, textOption } from '../../command.ts';
import { controlApiAt } from '../../control-api.ts';
import { CliError, EXIT } from '../../exit.ts';
import { type FoundFirewall, findFirewall } from '../control-channel.ts';
import { startDetached } from '../detach.ts';
import { dataFolder, given, homeFolder, openHome } from '../folder.ts';
import { baseFor, ended, plainBase } from '../place.ts';
import { findingsOf, statusIn } from '../posture.ts';
import { chosenRuntime, type RuntimeFiles } from '../runtime-files.ts';
import { readSession, removeFirewallState } from '../state.ts';
import type { Ailment, Examined } from './ailment.ts';
import { chainAilments } from './chain.ts';
import { controlPlaneAilments, sessionAilments } from './control-plane.ts';
import { exposedAilments } from './exposed.ts';
import { fileAilments } from './files.ts';
import { bypassAilments, diskAilments, nodeAilments, portAilments } from './machine.ts';
import { bundleAilments, refusedAilments } from './policies.ts';
import { proofAilments } from './proof.ts';
import { expiryAilments } from './renewal.ts';

/** Everything that is wrong here, in the order in which it is best mended. */
export async function examine(call: Call): Promise<Ailment[]> {
  const [home, data] = [homeFolder(call), dataFolder(call)];
  const found = [
    ...nodeAilments(process.versions.node),
    ...fileAilments([home, data]),
    ...exposedAilments([home, data], call),
  ];
  const note = (one: Ailment) => void found.push(one);
  /** Modes and links are named already, with their mend. */
  const noteUnlessNamed = (one: Ailment) => {
    if (
      one.code !== 'file_unsafe' ||
      !found.some(({ path }) => path !== undefined && one.message.startsWith(path))
    )
      note(one);
  };
  const loaded = await noting<LoadedConfig>(note, () =>
    loadConfig({ file: textOption(call.options, 'config'), flags: {}, env: call.env, cwd: call.folder }),
  );
  let readable = false;
  const firewall = await noting<FoundFirewall | null>(noteUnlessNamed, async () => {
    const one = await findFirewall(home);
    readable = true;
    return one;
  });
  const runtime = await noting<RuntimeFiles | null>(noteUnlessNamed, () => chosenRuntime(call));
  const facts: Examined = { call, home, data, firewall, runtime, loaded };
  // What could not be read says neither that a firewall runs nor that none does.
  if (readable) found.push(...(await firewallAilments(facts)));
  found.push(...postureAilments(facts).filter(({ code }) => readable || code !== 'firewall_not_running'));
  const known = found.map(({ code }) => code);
  found.push(...expiryAilments(facts), ...proofAilments(runtime, call.program));
  found.push(...(await chainAilments(facts)).filter(({ code }) => !known.includes(code)));
  found.push(...refusedAilments(facts), ...(await bundleAilments(facts)));
  found.push(...(await remoteAilments(facts, noteUnlessNamed)));
  found.push(...bypassAilments(call.env, statusIn(firewall)?.listen ?? null), ...diskAilments(home));
  return found;
}

/** What cannot be read is a finding, with the code of its error. */
async function noting<T>(note: (one: Ailment) => void, read: () => T | Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof KeyFileError) {
      const { path, message } = error;
      note({ code: 'file_unsafe', severity: 'error', message, mend: `mend ${path} as that says` });
      return null;
    }
    if (error instanceof CliError && error.exit === EXIT.misused) throw error;
    const known = error instanceof CliError || error instanceof ConfigError;
    if (!known) throw error;
    const code = error instanceof CliError ? error.code : 'config_invalid';
    note({ code, severity: 'error', message: error.message, mend: 'mend what the message names' });
    return null;
  }
}

async function firewallAilments({ call, home, firewall, loaded }: Examined): Promise<Ailment[]> {
  if (firewall?.running === true) return [];
  if (firewall?.silent === true) {
    const message = `the firewall (pid ${firewall.state.pid}) holds its control channel and does not answer`;
    return [{ code: 'control_channel_silent', severity: 'error', message, mend: 'end that process' }];
  }
  const stale: Ailment[] =
    firewall === null
      ? []
      : [
          {
            code: 'state_stale',
            severity: 'warning',
            message: `firewall.json is of a firewall (pid ${firewall.state.pid}) that is gone`,
            mend: `${call.program} doctor --fix`,
            fix() {
              removeFirewallState(home, firewall.state.instance);
              return 'the stale firewall.json was taken away';
            },
          },
        ];
  const listen = textOption(call.options, 'listen') ?? loaded?.config.firewall?.listen ?? DEFAULT_FIREWALL;
  return [...stale, ...(await portAilments(listen))];
}

/** What `lemma safety-status` says, too. */
function postureAilments({ call, home, firewall, runtime }: Examined): Ailment[] {
  const { env, program } = call;
  return (
    findingsOf({ firewall, runtime, env, program, now: Date.now() })
      .filter(
        ({ code }) => code !== 'firewall_not_running' || firewall?.running !== false || !firewall.silent,
      )
      // Looked at more closely, with what mends it.
      .filter(({ code }) => code !== 'proof_expiring')
      .map(({ code, level, message, mend }): Ailment => {
        const one = { code, severity: level === 'unsafe' ? 'error' : 'warning', message, mend } as const;
        if (code !== 'firewall_not_running') return one;
        const fix = async () => {
          openHome(call);
          await startDetached(call, home);
          return 'the firewall was started in the background';
        };
        return { ...one, fix };
      })
  );
}

async function remoteAilments(
  { call, home, firewall }: Examined,
  note: (one: Ailment) => void,
): Promise<Ailment[]> {
  const named = textOption(call.options, 'apiBase') ?? call.env.LEMMA_BASE_URL;
  const base = await noting(note, () => baseFor(call));
  const session = await noting(note, () => readSession(home));
  if (base === null) return [];
  const keyed = given(call.env.LEMMA_API_KEY) || given(call.env.LEMMA_OPERATOR_KEY);
  const needed = given(named) && !keyed;
  const sessions = [
    ...(await revokedAilments(session, call)),
    ...sessionAilments(session, { base, needed, program: call.program }),
  ];
  // Without any of these there is no control plane that anybody meant.
  const meant = given(named) || session !== null || firewall?.running === true;
  return meant ? [...(await controlPlaneAilments(base)), ...sessions] : sessions;
}

/** The token goes to the session's own control plane alone; one that does not answer says nothing about the session. */
async function revokedAilments(session: SessionState | null, call: Call): Promise<Ailment[]> {
  if (session === null || ended(session)) return [];
  const { token, api_base } = session;
  try {
    await controlApiAt({ base: plainBase(api_base), token, as: 'the session' }, call).get(
      '/api/wallet/session',
    );
    return [];
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    if (error.data.status !== 401) return [];
    const mend = `${call.program} session start --api-base ${api_base}`;
    const message = `${api_base} does not know the session any more`;
    return [{ code: 'session_revoked', severity: 'warning', message, mend }];
  }
}
