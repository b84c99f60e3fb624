import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { member } from '../answer.ts';

/** What the firewall says to a call of a tool. */
export interface ToolVerdict {
  readonly allowed: boolean;
  /** A reason code, or what went wrong. */
  readonly reason: string;
  readonly decision_id: string | null;
}

export interface ToolCall {
  /** host:port of the firewall. */
  readonly listen: string;
  readonly agent: string;
  readonly tool: string;
  readonly input: unknown;
  /** Value of X-Lemma-Credential; null: the firewall has one for the agent. */
  readonly credential: string | null;
}

/** Rejects where there is no verdict within `ms`: then there is no leave. */
export function askAboutTool(
  { listen, agent, tool, input, credential }: ToolCall,
  ms: number,
): Promise<ToolVerdict> {
  const body = JSON.stringify(input ?? {});
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(credential === null ? {} : { 'x-lemma-credential': credential }),
  };
  const url = `http://${listen}/tool/${agent}/${encodeURIComponent(tool)}`;
  return new Promise((resolve, reject) => {
    // An agent of its own: a proxy that the environment names has no say here.
    const outgoing = request(url, { method: 'POST', headers, agent: false, signal: AbortSignal.timeout(ms) });
    outgoing.once('error', reject);
    outgoing.once('response', async (response) => {
      try {
        const answer: unknown = JSON.parse(await text(response));
        const id = member(answer, 'decision_id');
        const decision_id = typeof id === 'string' ? id : null;
        const allowed = response.statusCode === 200 && member(answer, 'verdict') === 'allow';
        const reason = allowed ? 'allowed' : String(member(answer, 'error') ?? response.statusCode);
        resolve({ allowed, reason, decision_id });
      } catch (error) {
        reject(error);
      }
    });
    outgoing.end(body);
  });
}
