import type { IncomingMessage, ServerResponse } from 'node:http';
import { toRequest } from '../request/agent-tools.ts';
import { toResponse } from '../request/firewall.ts';
import type { AgentTools } from '../schema/agent-tools.ts';
import type { HeaderLine } from '../schema/request.ts';
import { sendDenial, sendVerdict } from './answer.ts';
import type { Exchanges } from './exchange.ts';
import { isHere, receivedOf, tainted } from './permit.ts';
import { readHead } from './read-head.ts';

/** Bytes of a call's arguments that are decided on; what an agent writes to a file is among them. */
const ARGUMENTS_LIMIT = 4 * 1024 * 1024;

/** The agent that a target asks about; undefined: it is for none that the configuration names. */
export function agentAskedAbout(url: string, agents: readonly AgentTools[]): AgentTools | undefined {
  const [, id] = /^\/tool\/([^/?]*)\//.exec(url) ?? [];
  return agents.find((agent) => agent.id === id);
}

/**
 * Answers a hook that asks whether its agent may call a tool. The call itself is the agent's: 200 is the leave, and where
 * its results taint, the runtime is tainted before it is given.
 */
export async function answerHook(
  agent: AgentTools,
  { incoming, outgoing, lines }: HookQuestion,
  firewall: Exchanges,
): Promise<void> {
  const head = await readHead(incoming, ARGUMENTS_LIMIT).catch(() => null);
  if (head === null) return;
  incoming.resume();
  const received = receivedOf(incoming, lines, head);
  const fallback = () => (isHere(received.address) ? firewall.apis().agentCredential(agent) : null);
  const request = toRequest(received, agent, fallback);
  const decision = await firewall.decide(request);
  const answer = toResponse(decision, request);
  if (answer.verdict === 'deny') {
    sendDenial(outgoing, answer, decision.decision_id);
    return;
  }
  if (await tainted({ outgoing, decision }, `tool.${agent.id}`, firewall))
    sendVerdict(outgoing, decision.decision_id);
}

interface HookQuestion {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly lines: readonly HeaderLine[];
}
