import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { credentialOf, encodeCredential } from '../../src/proof/issue.ts';
import { AUDIENCE, HOST, makeAgentChain, RUNTIME } from '../agent.ts';
import { stopGroup } from '../proxy/start.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** An agent with a proof, and the configuration under which that proof counts. */
export interface Agent {
  readonly host: string;
  readonly runtimeId: string;
  /** Value of X-Lemma-Credential. */
  readonly credential: string;
  /** The content of lemma.yaml (as JSON, which is YAML). */
  readonly config: object;
}

/** A fresh issuer, operator, delegate and runtime key, and the chain that joins them: good for ten minutes. */
export function makeAgent(dataFolder: string): Agent {
  const now = Math.floor(Date.now() / 1000);
  const { root, delegation, bind, config } = makeAgentChain({
    scope: ['documents.read'],
    issued_at: now,
    expires_at: now + 600,
    intent: 'read documents for the Envoy demonstration',
  });
  return {
    host: HOST,
    runtimeId: RUNTIME,
    credential: encodeCredential(credentialOf([root, delegation, bind()])),
    config: {
      listen: { grpc: '127.0.0.1:0', decision: '127.0.0.1:0', control: '127.0.0.1:0' },
      data: dataFolder,
      ...config,
      routes: [
        route('documents.read', '/v1/documents/{id}', ['documents.read'], false),
        route('health', '/healthz', [], true),
      ],
    },
  };
}

function route(id: string, path: string, scope: readonly string[], isPublic: boolean) {
  const what = { id, host: HOST, path, methods: ['GET', 'HEAD'], api: 'documents', action: id, scope };
  return { ...what, audience: AUDIENCE, risk: 'low', public: isPublic };
}

export interface RunningLemma {
  readonly grpcPort: number;
  /** Runs `lemma <words>` against it, as its operator; resolves to the `data` of the command's JSON. */
  command(...words: string[]): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/**
 * Starts `lemma serve` with the agent's configuration, and resolves when it listens.
 *
 * @throws Error with what it said, when it ends before that.
 */
export async function startLemma(agent: Agent, folder: string): Promise<RunningLemma> {
  const config = join(folder, 'lemma.yaml');
  await writeFile(config, JSON.stringify(agent.config, null, 2));
  // Its own group: Ctrl-C is for this program, which stops its children in order.
  const child = spawn(process.execPath, [MAIN, 'serve', '--json', '--config', config], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { addresses, operator_key_file } = await announced(child);
  const control = /^https?:/.test(addresses.control) ? addresses.control : `http://${addresses.control}`;
  const where = ['--api-base', control, '--data', join(operator_key_file, '..'), '--json'];
  return {
    grpcPort: Number(addresses.grpc[0]?.split(':').at(-1)),
    command: (...words) => commandData([...words, ...where]),
    stop: () => stopGroup(child),
  };
}

interface Announcement {
  readonly addresses: { readonly grpc: readonly string[]; readonly control: string };
  readonly operator_key_file: string;
}

/** The first line on stdout is the announcement; what comes before or instead of it stands on stderr. */
async function announced(child: ChildProcess): Promise<Announcement> {
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  if (child.stdout === null) throw new Error('serve has no stdout');
  const line = once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text));
  const ended = once(child, 'close').then(() => null);
  const first = await Promise.race([line, ended]);
  const answer = first === null ? null : (JSON.parse(first) as { ok: boolean; data: Announcement });
  if (answer?.ok !== true) {
    await stopGroup(child);
    throw new Error(`lemma serve did not start:\n${said || first}`);
  }
  return answer.data;
}

function commandData(words: string[]): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [MAIN, ...words], (error, stdout, stderr) => {
      if (error) reject(new Error(`lemma ${words.join(' ')} failed: ${stdout || stderr || error.message}`));
      else resolve((JSON.parse(stdout) as { data: Record<string, unknown> }).data);
    });
  });
}
