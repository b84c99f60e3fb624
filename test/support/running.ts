import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Client,
  credentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { stringify } from 'yaml';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { CompilerOptions } from '../../src/policy/compiler/compiler.ts';
import type { CheckRequestMessage, CheckResponseMessage } from '../../src/schema/check.ts';
import type { DecisionRecord } from '../../src/schema/decision.ts';
import type { Explanation } from '../../src/schema/explanation.ts';
import { loadProtos } from '../../src/server/proto.ts';
import { NOW, type WireRequest } from './kit.ts';

/** A busy machine must not make a test's verdict `overloaded`: what is shed, and when, has tests of its own. */
export const PATIENT = { concurrency: 10_000, queue: 10_000, queue_ms: 1_000, log_ms: 30_000 };

/** The configuration that the recorded vectors were made for. */
export interface VectorFile {
  readonly trust: unknown;
  readonly runtimes: unknown;
  readonly routes: unknown;
  readonly cases: readonly VectorCase[];
}

export interface VectorCase {
  readonly name: string;
  readonly now: number;
  readonly level: 'proof' | 'full';
  readonly expect: string;
  readonly request: WireRequest;
}

export const vectors = JSON.parse(
  readFileSync(new URL('../vectors/requests.json', import.meta.url), 'utf8'),
) as VectorFile;

export interface RunningOptions {
  /** Members of lemma.yaml beside, or instead of, those of the vectors. */
  readonly config?: Record<string, unknown>;
  /** Seconds; default: the vectors' clock. A function lets it move. */
  readonly clock?: () => number;
  /** A folder that outlives the service; default: a new one, removed at the end. */
  readonly folder?: string;
  /** What traces decisions for `explain`; default: as in `AppOptions`. */
  readonly compiler?: CompilerOptions;
}

export interface Verdict {
  readonly verdict: 'allow' | string;
  readonly decisionId: string;
  readonly http: number;
  readonly grpc: number;
  readonly response: CheckResponseMessage;
}

/** A whole service on free ports of this machine, and ways to ask it. */
export interface Running {
  readonly app: App;
  readonly folder: string;
  readonly logged: string[];
  readonly operatorKey: string;
  grpc(request: WireRequest, extensions?: Record<string, string>): Promise<Verdict>;
  rest(request: WireRequest): Promise<Verdict>;
  /** The control API; a body makes it a POST. */
  control(path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }>;
  decision(path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }>;
  records(): Promise<{ lines: string[]; records: DecisionRecord[] }>;
  explain(decisionId: string, trace?: 'fails' | 'full' | 'rules'): Promise<Explanation>;
  /** Writes another lemma.yaml and has the service take it; rejects as `App.reload` does. */
  reload(config: Record<string, unknown>): Promise<void>;
  stop(): Promise<void>;
}

export async function running(options: RunningOptions = {}): Promise<Running> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'lemma-test-'));
  const { trust, runtimes, routes } = vectors;
  const listen = { grpc: '127.0.0.1:0', decision: '127.0.0.1:0', control: '127.0.0.1:0' };
  const configured = (config: Record<string, unknown> = {}) => {
    const whole = { listen, trust, runtimes, routes, limits: PATIENT, ...config };
    writeFileSync(join(folder, 'lemma.yaml'), stringify(whole));
    return loadConfig({ flags: {}, env: {}, cwd: folder });
  };
  const loaded = configured(options.config);
  const logged: string[] = [];
  const clock = options.clock ?? (() => NOW);
  const app = await startApp(loaded, {
    clock: () => clock() * 1000,
    output: (line) => void logged.push(line),
    ...(options.compiler === undefined ? {} : { compiler: options.compiler }),
  });
  const operatorKey = readFileSync(app.operatorKeyFile, 'utf8').trim();
  const client = connect(app.addresses.grpc[0] ?? '');

  const call = async (address: string, path: string, body?: unknown) => {
    const answer = await fetch(`http://${address}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${operatorKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };

  return {
    app,
    folder,
    logged,
    operatorKey,
    grpc: async (request, extensions = {}) =>
      verdictOf(await client.check(toCheckRequest(request, extensions))),
    async rest(request) {
      const path = '/envoy.service.auth.v3.Authorization/Check';
      const { body } = await call(app.addresses.decision, path, toCheckJson(request));
      return verdictOf(fromJson(body));
    },
    control: (path, body) => call(app.addresses.control, path, body),
    decision: (path, body) => call(app.addresses.decision, path, body),
    async records() {
      const answer = await fetch(`http://${app.addresses.control}/api/wallet/runtimes/decisions/export`, {
        headers: { authorization: `Bearer ${operatorKey}` },
      });
      const lines = (await answer.text()).split('\n').filter((line) => line !== '');
      return { lines, records: lines.map((line) => JSON.parse(line) as DecisionRecord) };
    },
    async explain(decisionId, trace) {
      const { body } = await call(
        app.addresses.control,
        `/api/wallet/runtimes/decisions/${decisionId}/explain${trace === undefined ? '' : `?trace=${trace}`}`,
      );
      return body.explanation as Explanation;
    },
    reload: (config) => app.reload(configured(config)),
    async stop() {
      client.close();
      await app.stop();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function connect(address: string) {
  const definition = loadPackageDefinition(loadProtos()) as never as {
    envoy: { service: { auth: { v3: { Authorization: ServiceClientConstructor } } } };
  };
  const client = new definition.envoy.service.auth.v3.Authorization(
    address,
    credentials.createInsecure(),
  ) as unknown as Client &
    Record<
      'check',
      (message: object, done: (error: Error | null, answer: CheckResponseMessage) => void) => void
    >;
  return {
    check: (message: CheckRequestMessage) =>
      new Promise<CheckResponseMessage>((resolve, reject) =>
        client.check(message, (error, answer) => (error === null ? resolve(answer) : reject(error))),
      ),
    close: () => client.close(),
  };
}

/** `header_map` keeps lines apart, as Envoy does with `encode_raw_headers`. The body is given whole. */
export function toCheckRequest(
  request: WireRequest,
  extensions: Record<string, string> = {},
): CheckRequestMessage {
  const { method, scheme, host, path, headers, body } = request;
  return {
    attributes: {
      request: {
        http: {
          method,
          scheme,
          host,
          path,
          protocol: 'HTTP/1.1',
          header_map: {
            headers: headers.map(([key, value]) => ({ key, raw_value: Buffer.from(value, 'latin1') })),
          },
          ...(body === undefined || body === null ? {} : { raw_body: Buffer.from(body, 'base64url') }),
        },
      },
      context_extensions: extensions,
    },
  };
}

function toCheckJson(request: WireRequest): unknown {
  const { method, scheme, host, path, headers, body } = request;
  const lines = headers.map(([key, value]) => ({
    key,
    rawValue: Buffer.from(value, 'latin1').toString('base64'),
  }));
  return {
    attributes: {
      request: {
        http: {
          method,
          scheme,
          host,
          path,
          protocol: 'HTTP/1.1',
          headerMap: { headers: lines },
          ...(body === undefined || body === null
            ? {}
            : { rawBody: Buffer.from(body, 'base64url').toString('base64') }),
        },
      },
    },
  };
}

function fromJson(body: Record<string, unknown>): CheckResponseMessage {
  const { status, deniedResponse, okResponse, dynamicMetadata } = body as {
    status: { code: number };
    deniedResponse?: { status: { code: number }; body: string };
    okResponse?: { headers: { header: { key: string; value: string } }[]; headersToRemove: string[] };
    dynamicMetadata?: object;
  };
  return {
    status,
    ...(deniedResponse === undefined ? {} : { denied_response: deniedResponse }),
    ...(okResponse === undefined
      ? {}
      : { ok_response: { headers: okResponse.headers, headers_to_remove: okResponse.headersToRemove } }),
    ...(dynamicMetadata === undefined ? {} : { dynamic_metadata: dynamicMetadata }),
  } as CheckResponseMessage;
}

export function verdictOf(response: CheckResponseMessage): Verdict {
  const grpc = response.status?.code ?? 0;
  if ('ok_response' in response && grpc === 0) {
    const id = response.ok_response.headers.find((option) => option.header?.key === 'x-lemma-decision-id');
    return { verdict: 'allow', decisionId: id?.header?.value ?? '', http: 200, grpc, response };
  }
  const denied = 'denied_response' in response ? response.denied_response : undefined;
  const body = JSON.parse(denied?.body ?? '{}') as { error?: string; decision_id?: string };
  return {
    verdict: body.error ?? 'no error code',
    decisionId: body.decision_id ?? '',
    http: denied?.status?.code ?? 0,
    grpc,
    response,
  };
}
