import { type ChildProcess, fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  broken,
  type HostCall,
  type HostReply,
  OPA_VERSION,
  type OpaHost,
  type RawAnswer,
  timedOut,
} from './protocol.ts';
import { patienceMs } from './time-limit.ts';

/** Written by tools/compiler/build.ts, and part of the published package; found from `src` and from `dist`. */
export const ARTEFACT = fileURLToPath(new URL('../../../src/policy/compiler/opa.wasm.zst', import.meta.url));

const HOST = new URL(`./host${extname(fileURLToPath(import.meta.url))}`, import.meta.url);

/** V8 compiles each function once, when it is first called, and never again: half the time and memory of a short run. */
const V8_FLAGS = ['--liftoff-only', '--wasm-lazy-validation'];

/** The host bounds a call itself; beyond this it has lost its wits. Its own start takes some of it. */
const GRACE_MS = 15_000;

/** OPA in a process of its own, started with the first call and kept for the next. */
export function wasmHost(artefact: string = ARTEFACT): OpaHost {
  let child: Child | undefined;
  let closed = false;
  return {
    kind: 'wasm',
    version: OPA_VERSION,
    async ask(request, timeLimitMs, bounds) {
      if (closed) return broken(request.op, 'the compiler is closed');
      if (child === undefined || child.gone) child = startChild(artefact);
      const reply = await child.call({
        request: JSON.stringify(request),
        timeLimitMs,
        ...(bounds === undefined ? {} : { bounds }),
      });
      if ('answer' in reply) return JSON.parse(reply.answer) as RawAnswer;
      return 'timedOut' in reply
        ? timedOut(request.op, timeLimitMs, reply.timedOut)
        : broken(request.op, reply.problem);
    },
    async close() {
      closed = true;
      await child?.close();
    },
  };
}

interface Child {
  readonly gone: boolean;
  call(call: Omit<HostCall, 'id'>): Promise<HostReply>;
  close(): Promise<void>;
}

function startChild(artefact: string): Child {
  const process = fork(HOST, [artefact], {
    execArgv: V8_FLAGS,
    env: {},
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const ended = endOf(process);
  let gone = false;
  let lastId = 0;
  // One call at a time: what waits is not counted against its limit.
  let before: Promise<unknown> = Promise.resolve();
  void ended.then(() => {
    gone = true;
  });
  unreferenced(process, true);

  async function perform(call: HostCall): Promise<HostReply> {
    unreferenced(process, false);
    const timer = setTimeout(() => process.kill('SIGKILL'), patienceMs(call.timeLimitMs) + GRACE_MS);
    try {
      if (process.connected) process.send(call);
      return await Promise.race([
        replyTo(process, call.id),
        ended.then((problem) => ({ id: call.id, problem })),
      ]);
    } finally {
      clearTimeout(timer);
      unreferenced(process, true);
    }
  }

  return {
    get gone() {
      return gone;
    },
    call(call) {
      const id = ++lastId;
      const reply = before.then(() => perform({ id, ...call }));
      before = reply.catch(() => undefined);
      return reply;
    },
    async close() {
      unreferenced(process, false);
      process.kill('SIGKILL');
      await ended;
    },
  };
}

function replyTo(process: ChildProcess, id: number): Promise<HostReply> {
  return new Promise((resolve) => {
    const listen = (reply: HostReply) => {
      if (reply.id !== id) return;
      process.off('message', listen);
      resolve(reply);
    };
    process.on('message', listen);
  });
}

/** Resolves with why the process ended. */
function endOf(process: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4096);
    });
    process.once('error', (cause) => resolve(cause.message));
    process.once('close', (code, signal) =>
      resolve(said.trim() === '' ? `its process ended with ${signal ?? code}` : said.trim()),
    );
  });
}

/** An idle compiler keeps no program from ending. */
function unreferenced(process: ChildProcess, idle: boolean): void {
  const stderr = process.stderr as { ref?: () => void; unref?: () => void } | null;
  if (idle) {
    process.unref();
    process.channel?.unref();
    stderr?.unref?.();
  } else {
    process.ref();
    process.channel?.ref();
    stderr?.ref?.();
  }
}
