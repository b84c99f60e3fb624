import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { isInitializeRequest, type JSONRPCMessage } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import type { Command } from 'commander';
import type { Credential } from '../client/credential.ts';
import { createLemmaFetch } from '../client/fetch.ts';
import { keyFromSeed } from '../client/key.ts';
import { DEFAULT_FIREWALL } from '../schema/config.ts';
import { type Call, textOption } from './command.ts';
import { homeFolder } from './local/folder.ts';
import { openRuntime, type RuntimeFiles, readProof, replaceProof } from './local/runtime-files.ts';
import { readFirewallState } from './local/state.ts';
import { firstSignal } from './signals.ts';

export function define(command: Command): void {
  command
    .argument('<server>', 'The MCP server, as firewall.mcp names it')
    .option(
      '--firewall <host:port>',
      `Where the firewall is (default: that of the one that runs, else ${DEFAULT_FIREWALL})`,
    )
    .option(
      '--runtime-id <id>',
      'Whose proof is shown (default: LEMMA_PROOF_FILE, LEMMA_RUNTIME_ID, the only one there is)',
    )
    .option('--data <folder>', 'Folder with its proof (default: ./.lemma where it is, else ~/.lemma)');
}

/**
 * An MCP server over stdio, for a client to start in place of the real one: what it says goes to the firewall with the
 * runtime's proof, and a PoP where its key is there. Runs until standard input ends.
 */
export async function run(call: Call): Promise<null> {
  const [server = ''] = call.args;
  const { files, proof, seed } = await openRuntime(call);
  const state = readFirewallState(homeFolder(call));
  const origin = `http://${textOption(call.options, 'firewall') ?? state?.listen ?? DEFAULT_FIREWALL}`;
  const lemmaFetch = createLemmaFetch({
    credential: proof.credential,
    ...(seed === null ? {} : { key: await keyFromSeed(seed) }),
    ...(seed === null || state === null ? {} : { renew: { control: state.control_plane } }),
    onEvent: (event) => event.type === 'renewed' && keep(files, event.credential),
    gateways: [origin],
    denials: 'return',
  });

  const here = new StdioServerTransport();
  const there = new StreamableHTTPClientTransport(new URL(`${origin}/mcp/${encodeURIComponent(server)}`), {
    fetch: (url, init) => lemmaFetch(url, init),
  });
  const ended = new Promise<void>((resolve) => {
    here.onclose = () => resolve();
    process.stdin.once('end', () => resolve());
  });
  relay(here, there);
  await there.start();
  await here.start();
  await Promise.race([ended, firstSignal()]);
  await there.close();
  await here.close();
  lemmaFetch.close();
  return null;
}

/** The next proof in the place of the one that it renews; what another command wrote meanwhile for another key stays. */
function keep(files: RuntimeFiles, credential: Credential): void {
  if (readProof(files)?.credential.key === credential.key) replaceProof(files, credential);
}

/** Messages both ways. One that did not get through is answered, so that nobody waits for ever. */
function relay(here: StdioServerTransport, there: StreamableHTTPClientTransport): void {
  const opening = new Set<unknown>();
  here.onmessage = (message: JSONRPCMessage) => {
    if (isInitializeRequest(message)) opening.add(Reflect.get(message, 'id'));
    there.send(message).catch((error: unknown) => {
      const id: unknown = Reflect.get(message, 'id');
      if (typeof id !== 'string' && typeof id !== 'number') return;
      const said = error instanceof Error ? error.message : String(error);
      void here.send({
        jsonrpc: '2.0',
        id,
        error: { code: -32_000, message: `the firewall did not answer: ${said}` },
      });
    });
  };
  there.onmessage = (message: JSONRPCMessage) => {
    if ('result' in message && opening.delete(message.id)) {
      const version = Reflect.get(message.result, 'protocolVersion');
      if (typeof version === 'string') there.setProtocolVersion(version);
    }
    void here.send(message);
  };
  there.onerror = () => undefined;
}
