import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { checkMethod, loadProtos } from '../../src/server/proto.ts';
import { connectLoad } from '../../tools/bench/load.ts';
import { PATIENT, toCheckRequest } from './running.ts';
import { type Agent, type Serving, servedConfig } from './serving.ts';

const RUNTIMES = 8;
const PATHS = 40;
/** One in so many is for a path that nobody serves. */
const DENIED = 10;
const TICK_MS = 10;

/** Has the service that starts in this folder shed nothing, on however busy a machine: who is shed shares a record. */
export function patiently(folder: string): void {
  writeFileSync(join(folder, 'lemma.yaml'), stringify({ ...servedConfig(), limits: PATIENT }));
}

/** Decisions of several runtimes at a steady rate, whatever comes back. */
export interface DecisionLoad {
  /** Sends so many, and waits for their answers. Throws where one failed. */
  send(count: number, perSecond: number): Promise<void>;
  /** Sent so far. */
  readonly sent: number;
  close(): void;
}

export async function decisionLoad(service: Serving): Promise<DecisionLoad> {
  const agents: Agent[] = [];
  for (let n = 0; n < RUNTIMES; n += 1) agents.push(await service.onboard(`load-${n}`));
  const { requestSerialize } = checkMethod(loadProtos());
  // Of the low profile, without PoP: they may be sent again and again.
  const messages = Array.from({ length: RUNTIMES * PATHS }, (_, n) => {
    const reading = (agents[n % RUNTIMES] as Agent).reading();
    const path = n % DENIED === 0 ? '/v1/nowhere' : `/v1/documents/${n}`;
    return new Uint8Array(requestSerialize(toCheckRequest({ ...reading, path })));
  });
  const client = await connectLoad(service.addresses.grpc[0] ?? '');
  let sent = 0;

  return {
    send(count, perSecond) {
      const began = performance.now();
      let begun = 0;
      let open = 0;
      return new Promise((resolve, reject) => {
        const timer = setInterval(() => {
          const due = Math.min(count, Math.ceil(((performance.now() - began) / 1000) * perSecond));
          for (; begun < due; begun += 1) {
            open += 1;
            client.send(messages[sent % messages.length] as Uint8Array, (answer) => {
              open -= 1;
              if (answer === null) fail();
              else if (begun === count && open === 0) resolve();
            });
            sent += 1;
          }
          if (begun === count) clearInterval(timer);
        }, TICK_MS);
        const fail = () => {
          clearInterval(timer);
          reject(new Error(`a decision had no answer, of ${sent}`));
        };
      });
    },
    get sent() {
      return sent;
    },
    close: () => client.close(),
  };
}

/** How many records the log has. */
export async function recorded({ controlBase, operatorKey }: Serving): Promise<number> {
  const url = `${controlBase}/api/wallet/runtimes/decisions/export`;
  const answer = await fetch(url, { headers: { authorization: `Bearer ${operatorKey}` } });
  let lines = 0;
  for await (const chunk of answer.body ?? [])
    for (const byte of chunk as Uint8Array) if (byte === 0x0a) lines += 1;
  return lines;
}
