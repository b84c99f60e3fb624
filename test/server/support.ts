import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { createAccess } from '../../src/authority/access.ts';
import { accessSecret, ownerAt } from '../../src/authority/identity.ts';
import { openKeyRing } from '../../src/authority/key-ring.ts';
import { createOperators } from '../../src/authority/operators.ts';
import type { Decision } from '../../src/schema/decision.ts';
import type { AuthzRequest } from '../../src/schema/request.ts';
import { type ControlApi, controlApp } from '../../src/server/control-api.ts';
import { createMetrics } from '../../src/server/metrics.ts';
import { HOME, openWorld, type World } from '../authority/support.ts';

export const KEY = `lm_op_${'k'.repeat(42)}A`;
export const AUTH = { authorization: `Bearer ${KEY}` };
export const DECISION_ID = `dec_${'A'.repeat(22)}`;

export function decision(over: Partial<Decision> = {}): Decision {
  return {
    decision_id: DECISION_ID,
    verdict: 'allow',
    reason: 'allowed',
    reasons: [],
    stage: 'answer',
    actor: {
      subject: `did:lemma:ppid_${'0'.repeat(64)}`,
      runtime_id: 'bot-1',
      agent_id: 'bot',
      workspace_id: 'main',
      run_id: null,
      scope: ['documents.read'],
    },
    result: null,
    strip: ['x-lemma-credential'],
    rewrite: [],
    observed: false,
    taintOnResponse: false,
    ...over,
  };
}

export const denial = (over: Partial<Decision> = {}): Decision =>
  decision({ verdict: 'deny', reason: 'scope_denied', reasons: ['scope_denied'], stage: 'proof', ...over });

/** A decide that says what it is told to, and keeps what it was asked. */
export function scripted(answer: Decision | (() => Promise<Decision>) = decision()) {
  const asked: AuthzRequest[] = [];
  const decide = async (request: AuthzRequest): Promise<Decision> => {
    asked.push(request);
    return typeof answer === 'function' ? answer() : answer;
  };
  return { decide, asked };
}

export function memoryLog(): { log: Logger; lines: () => string[] } {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { log: pino(sink), lines: () => lines };
}

export function metrics() {
  return createMetrics({
    log: () => ({ queued: 1, lost: 2, written: 3 }),
    gate: () => ({ ready: true, runtimes: 4, nonces: 5 }),
    bundles: () => [{ name: 'low', revision: 'r1', sha256: 'ab' }],
    storeWritable: () => true,
    admission: () => ({ running: 6, queued: 7, abandoned: 8, overloaded: 9, rate_limited: 10 }),
  });
}

function ringOf({ folder, keys, store }: World) {
  return openKeyRing({
    folder,
    keys,
    known: [],
    store,
    home: HOME,
    clock: Date.now,
    onChange: () => undefined,
    onError: (error) => {
      throw error;
    },
  });
}

/** Who may call the control plane of this world, by its store. */
export function accessOf(
  { store, keys }: Pick<World, 'store' | 'keys'>,
  clock: () => number = Date.now,
  onError: (error: unknown) => void = (error) => {
    throw error;
  },
) {
  return createAccess({
    home: HOME,
    owner: ownerAt('localhost', keys),
    secret: accessSecret(keys),
    keepMs: () => 86_400_000,
    validFrom: 0,
    store,
    clock,
    onError,
  });
}

/** A control plane over a real authority; what a test does not give is the plainest that works. */
export async function controlWorld(
  over: Partial<ControlApi> = {},
  within: (world: World) => Partial<ControlApi> = () => ({}),
  clock: () => number = Date.now,
) {
  const world: World = await openWorld(clock);
  const { log, lines } = memoryLog();
  const app = controlApp({
    authority: world.authority,
    keys: await ringOf(world),
    backup: () => Promise.reject(new Error('not asked for')),
    operators: createOperators({ ...HOME, key: KEY }),
    access: accessOf(world),
    home: HOME,
    publicUrl: null,
    decide: scripted().decide,
    ready: () => true,
    metrics: metrics(),
    log,
    version: '0.0.0',
    queryDecisions: (query) => world.store.queryRecords(query),
    exportDecisions: async function* () {},
    explain: async () => null,
    ...over,
    ...within(world),
  });
  return { world, app, lines, close: () => Promise.all([app.close(), world.close()]) };
}

/** The same, in a time that a test moves. */
export async function timedWorld() {
  const time = { now: Date.UTC(2026, 9, 1) };
  const clock = () => time.now;
  const control = await controlWorld({}, (world) => ({ access: accessOf(world, clock) }), clock);
  return { control, time };
}
