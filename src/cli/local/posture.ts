import { readSecret } from '../../authority/secret-file.ts';
import { isLocal, parseAddress } from '../../config/address.ts';
import type { Environment } from '../../config/environment.ts';
import { decodeCredential } from '../../proof/decode.ts';
import { checkTimes } from '../../proof/time.ts';
import { Denial } from '../../reason.ts';
import type { Lemma } from '../../schema/lemma.ts';
import { cell } from '../answer.ts';
import type { Terminal } from '../terminal.ts';
import type { FoundFirewall } from './control-channel.ts';
import { given } from './folder.ts';
import { leadsTo } from './own-proxy.ts';
import { type RuntimeFiles, readProof } from './runtime-files.ts';
import type { FirewallStatus } from './status.ts';

/** `safe`: what an agent here does is decided on, and what must be there is there. */
const POSTURES = ['safe', 'degraded', 'unsafe'] as const;
export type Posture = (typeof POSTURES)[number];

export interface Finding {
  readonly code: string;
  /** `unsafe`: an agent can act undecided, or its credential can be taken; `degraded`: something is missing or not covered. */
  readonly level: Exclude<Posture, 'safe'>;
  readonly message: string;
  /** What to do. */
  readonly mend: string;
}

export interface PostureFacts {
  readonly firewall: FoundFirewall | null;
  /** Null: there is none, or nobody said which of several. */
  readonly runtime: RuntimeFiles | null;
  readonly env: Environment;
  readonly program: string;
  /** Milliseconds. */
  readonly now: number;
}

/** Low-risk decisions stop at this age of the state. */
const STALE_MS = 30_000;
const EXPIRING_MS = 300_000;

/** Everything that keeps this machine from being SAFE, the worst first. Asks nobody; throws nothing that a file can cause. */
export function findingsOf(facts: PostureFacts): Finding[] {
  const found = [...firewallFindings(facts), ...proofFindings(facts), ...environmentFindings(facts)];
  return found.sort((a, b) => POSTURES.indexOf(b.level) - POSTURES.indexOf(a.level));
}

export function postureOf(findings: readonly Finding[]): Posture {
  return findings.reduce<Posture>(
    (worst, { level }) => (POSTURES.indexOf(level) > POSTURES.indexOf(worst) ? level : worst),
    'safe',
  );
}

const COLOURS = { safe: 'green', degraded: 'yellow', unsafe: 'red' } as const satisfies Record<
  Posture,
  string
>;

/** For a person: in capitals and its colour. */
export function postureWord({ style }: Pick<Terminal, 'style'>, posture: Posture): string {
  return style(['bold', COLOURS[posture]], posture.toUpperCase());
}

export function statusIn(firewall: FoundFirewall | null): FirewallStatus | null {
  // What our own firewall answered, whose instance was compared.
  return firewall?.running === true ? (firewall.status as unknown as FirewallStatus) : null;
}

function firewallFindings({ firewall, program }: PostureFacts): Finding[] {
  const start = `${program} start`;
  const status = statusIn(firewall);
  if (status === null) {
    const message =
      firewall === null
        ? 'no local firewall is running'
        : firewall.running === false && firewall.silent
          ? `the local firewall (pid ${firewall.state.pid}) does not answer`
          : 'the local firewall has gone without tidying up';
    return [unsafe('firewall_not_running', message, start)];
  }
  const address = parseAddress(status.listen);
  const found: Finding[] = [];
  if (address === null || !isLocal(address))
    found.push(
      unsafe('firewall_exposed', `the firewall listens on ${status.listen}`, 'bind it to 127.0.0.1'),
    );
  if (status.connected === false)
    found.push(
      degraded(
        'control_plane_lost',
        `${status.control_plane} does not answer: kills do not arrive, the state grows old`,
        'restore the connection; decisions stop by themselves once the state is too old',
      ),
    );
  if (status.freshness.age_ms > STALE_MS)
    found.push(
      degraded(
        'feed_stale',
        `the state is ${Math.round(status.freshness.age_ms / 1000)} s old: everything is denied (freshness_stale)`,
        'restore the connection to the control plane',
      ),
    );
  if (status.apis.length === 0)
    found.push(
      degraded('no_apis', 'nothing may be reached through the firewall', 'name firewall.apis in lemma.yaml'),
    );
  return found;
}

function proofFindings(facts: PostureFacts): Finding[] {
  const { runtime, program, now } = facts;
  const connect = `${program} firewall-connect`;
  if (runtime === null)
    return [degraded('proof_missing', 'no runtime has a proof here', `${connect} --runtime-id <id> …`)];
  const again = `${connect} --runtime-id ${runtime.runtime} …`;
  const found: Finding[] = exposed(runtime.key, 'key_exposed', again);
  let header: string | undefined;
  try {
    header = readProof(runtime)?.header;
  } catch (error) {
    return [...found, unsafe('proof_unusable', messageOf(error), again)];
  }
  if (header === undefined)
    return [...found, degraded('proof_missing', `${runtime.proof} is not there`, again)];
  let links: readonly Lemma[];
  try {
    links = decodeCredential(header);
    checkTimes(links, Math.floor(now / 1000));
  } catch (error) {
    if (!(error instanceof Denial)) throw error;
    return [...found, degraded(error.code, `${runtime.proof}: ${error.message}`, again)];
  }
  const left = Math.min(...links.map(({ expires_at }) => expires_at)) * 1000 - now;
  if (left < EXPIRING_MS)
    found.push(
      degraded(
        'proof_expiring',
        `the proof of ${runtime.runtime} ends in ${Math.ceil(left / 1000)} s`,
        again,
      ),
    );
  return [...found, ...runtimeFindings(facts, links, again)];
}

function runtimeFindings(
  { firewall, program }: PostureFacts,
  links: readonly Lemma[],
  again: string,
): Finding[] {
  const status = statusIn(firewall);
  const lemma = links.find((link) => link.type === 'runtime');
  if (status === null || lemma?.type !== 'runtime') return [];
  const { runtime_id: id, taint_epoch } = lemma.claims;
  const known = status.runtimes.find(({ runtime_id }) => runtime_id === id);
  if (known === undefined)
    return [degraded('runtime_unknown', `the firewall knows no runtime ${id}: all is denied`, again)];
  if (known.status === 'killed')
    return [
      degraded(
        'runtime_killed',
        `${id} is killed: all is denied`,
        `${program} resume ${id} --killed --epoch …`,
      ),
    ];
  if (known.status !== 'active')
    return [degraded('runtime_inactive', `${id} is contained: all is denied`, `${program} resume ${id}`)];
  if (known.taint_epoch !== taint_epoch)
    return [
      degraded(
        'taint_stale',
        `${id} is at taint epoch ${known.taint_epoch}, its proof at ${taint_epoch}: what is not of low risk is denied`,
        `${program} approve ${id}`,
      ),
    ];
  return [];
}

/** What a program that is started from here would inherit. */
function environmentFindings({ env, firewall }: PostureFacts): Finding[] {
  const found: Finding[] = [];
  for (const name of ['LEMMA_OPERATOR_KEY', 'LEMMA_API_KEY', 'LEMMA_KEY_PASSPHRASE'] as const) {
    if (given(env[name]))
      found.push(
        degraded(
          'secret_in_environment',
          `an agent that is started from here inherits ${name}, and can act as you`,
          `unset ${name} where agents start`,
        ),
      );
  }
  const listen = statusIn(firewall)?.listen;
  if (listen === undefined) return found;
  const past = ['HTTPS_PROXY', 'HTTP_PROXY'].filter((name) => {
    const value = env[name.toLowerCase()] ?? env[name];
    return !given(value) || !leadsTo(value, listen);
  });
  if (past.length > 0)
    found.push(
      degraded(
        'proxy_unset',
        `${past.join(' and ')} ${past.length === 1 ? 'does' : 'do'} not lead to the firewall: a program from here reaches the network past it`,
        `export HTTPS_PROXY=http://${listen} HTTP_PROXY=http://${listen}`,
      ),
    );
  const direct = env.no_proxy ?? env.NO_PROXY;
  if (given(direct))
    found.push(
      degraded('proxy_exceptions', `NO_PROXY lets ${direct} be reached past the firewall`, 'unset NO_PROXY'),
    );
  return found;
}

function exposed(path: string, code: string, mend: string): Finding[] {
  try {
    readSecret(path);
    return [];
  } catch (error) {
    return [unsafe(code, messageOf(error), mend)];
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : cell(error);
}

function unsafe(code: string, message: string, mend: string): Finding {
  return { code, level: 'unsafe', message, mend };
}

function degraded(code: string, message: string, mend: string): Finding {
  return { code, level: 'degraded', message, mend };
}
