import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import type { Call } from '../../../command.ts';
import { controlApi } from '../../../control-api.ts';
import type { ControlChannel } from '../../control-channel.ts';
import type { RecentDecision } from '../../recent.ts';
import { decisionsAfter } from '../../verify.ts';
import type { ContainedRuntime } from '../contain.ts';
import { type Canary, failed, patient, throwAway } from '../prove.ts';

/** What the client will start. */
export interface Started {
  readonly id: string;
  readonly command: string;
  readonly args: readonly string[];
}

export interface ServerProof {
  readonly id: string;
  /** What a client of it is shown. */
  readonly tools: readonly string[];
  readonly allowed: Canary;
  readonly denied: Canary;
}

const ANSWER_MS = 15_000;

/**
 * Each server is started as its client will, and must list its tools with an allowed decision in the firewall's own log; a
 * killed throw-away runtime must be denied to connect. No tool is called.
 *
 * @throws CliError `check_failed`
 */
export async function proveServers(
  call: Call,
  contained: ContainedRuntime,
  servers: readonly Started[],
): Promise<{
  readonly servers: readonly ServerProof[];
  readonly kill: { runtime_id: string; before: Canary } | null;
}> {
  const { channel, status } = contained.firewall;
  const [first] = servers;
  if (first === undefined) return { servers: [], kill: null };
  const listed = new Map<string, Pick<ServerProof, 'tools' | 'allowed'>>();
  for (const server of servers) listed.set(server.id, await listAs(call, channel, server));

  const trial = await throwAway(controlApi(call), contained.identity, contained.reach);
  const connect = (id: string) => connectWith(`http://${status.listen}/mcp/${id}`, trial.header);
  const before = await patient(
    () => connect(first.id),
    ({ reason }) => reason !== 'runtime_unknown',
  );
  if (before.verdict !== 'allow')
    throw failed(`${trial.runtime_id} was denied before its kill: ${before.reason}`, before);
  await trial.kill();
  const proofs: ServerProof[] = [];
  for (const { id } of servers) {
    const denied = await patient(
      () => connect(id),
      ({ verdict }) => verdict === 'deny',
    );
    const known = listed.get(id);
    if (denied.reason !== 'runtime_killed' || known === undefined)
      throw failed(`${id} let a killed runtime connect`, denied);
    proofs.push({ id, ...known, denied });
  }
  return { servers: proofs, kill: { runtime_id: trial.runtime_id, before } };
}

async function listAs({ folder, env }: Call, channel: ControlChannel, { id, command, args }: Started) {
  const last = (await decisionsAfter(channel, 0)).at(-1)?.position ?? 0;
  const client = new Client({ name: 'lemma-setup', version: '1' }, { capabilities: {} });
  const variables = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  try {
    await client.connect(
      new StdioClientTransport({
        command,
        args: [...args],
        cwd: folder,
        env: Object.fromEntries(variables),
        stderr: 'ignore',
      }),
    );
    const { tools } = await client.listTools({}, { timeout: ANSWER_MS });
    const allowed = await patient(
      async () => found(await decisionsAfter(channel, last), id),
      ({ decision_id }) => decision_id !== '',
    );
    if (allowed.verdict !== 'allow') throw failed(`${id} was not allowed: ${allowed.reason}`, allowed);
    return { tools: tools.map(({ name }) => name), allowed };
  } catch (error) {
    throw failed(
      `${id} does not answer through the firewall: ${error instanceof Error ? error.message : error}`,
      {},
    );
  } finally {
    await client.close();
  }
}

function found(decisions: readonly RecentDecision[], id: string): Canary {
  const one = decisions.findLast(({ path }) => path === `/mcp/${id}`);
  return {
    verdict: one?.verdict ?? 'none',
    reason: one?.reason ?? 'no decision in the log',
    decision_id: one?.decision_id ?? '',
  };
}

/** Asks for the tools with a credential; a denial is a JSON-RPC error that bears code and decision. */
async function connectWith(url: string, credential: string): Promise<Canary> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'x-lemma-credential': credential,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
    redirect: 'error',
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const said = await response.text();
  const reason = /"error":"([a-z_]+)"/.exec(said)?.[1];
  const decision_id = /"decision_id":"(dec_[\w-]+)"/.exec(said)?.[1] ?? '';
  return reason === undefined
    ? { verdict: 'allow', reason: 'allowed', decision_id }
    : { verdict: 'deny', reason, decision_id };
}
