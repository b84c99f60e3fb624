import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { installFolder } from '../../tools/proxy/pypi.ts';

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL('../../tools/deploy/', import.meta.url));
const SCHEMAS = { name: 'kubernetes-validate', requirement: 'kubernetes-validate==1.37.0' } as const;
const VERSION = 'v1.37.0-local-strict';

/** What cannot be had skips aloud, and fails in CI. */
async function had<T>(context: Mocha.Context, what: Promise<T>): Promise<T> {
  return what.catch((error: unknown) => {
    if (process.env.CI) throw error;
    console.warn(`    skipped: ${error instanceof Error ? error.message : error}`);
    return context.skip();
  });
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

interface PodSpec {
  readonly securityContext: object;
  readonly containers: readonly { readonly name: string; readonly securityContext: object }[];
}

const manifests = readdirSync(join(FOLDER, 'kubernetes')).flatMap((file) =>
  parseAllDocuments(readFileSync(join(FOLDER, 'kubernetes', file), 'utf8'), { merge: true }).map(
    (document) => [file, document.toJS() as Manifest] as const,
  ),
);

describe('Kubernetes manifests', () => {
  let folder: string;
  before(async function () {
    this.timeout(120_000);
    const installed = await had(this, installFolder(SCHEMAS));
    folder = join(installed, 'kubernetes_validate', 'kubernetes-json-schema', VERSION);
  });

  for (const [file, manifest] of manifests) {
    const { apiVersion, kind, metadata } = manifest;
    it(`${file}: ${kind} ${metadata.name} is what Kubernetes 1.37 takes`, async () => {
      const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
      ajv.addSchema(
        JSON.parse(await readFile(join(folder, '_definitions.json'), 'utf8')),
        '_definitions.json',
      );
      const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
      const name = [kind.toLowerCase(), ...(group ? [group.split('.')[0]] : []), version].join('-');
      const schema = JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8')) as object;
      ok(ajv.validate(schema, manifest), ajv.errorsText());
    });
  }

  for (const [file, { kind, metadata, spec }] of manifests) {
    const pod = spec?.template?.spec;
    if (pod === undefined) continue;
    for (const { name, securityContext } of pod.containers) {
      it(`${file}: ${name} of ${kind} ${metadata.name} can change nothing but its volumes`, () => {
        deepEqual(securityContext, {
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        });
        equal(Object(pod.securityContext).runAsNonRoot, true);
      });
    }
  }
});

describe('compose.yaml', () => {
  const compose = parse(readFileSync(join(FOLDER, 'compose.yaml'), 'utf8'), { merge: true });

  it('is what the Compose specification takes', async function () {
    this.timeout(120_000);
    const module = 'github.com/compose-spec/compose-go/v2@v2.16.2';
    const { stdout } = await had(this, run('go', ['mod', 'download', '-json', module], { cwd: FOLDER }));
    const { Dir } = JSON.parse(stdout) as { Dir: string };
    const schema = JSON.parse(await readFile(join(Dir, 'schema', 'compose-spec.json'), 'utf8')) as object;
    const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
    ok(ajv.validate(schema, compose), ajv.errorsText());
  });

  it('publishes on loopback only', () => {
    const services = Object.values(compose.services as Record<string, { ports?: string[] }>);
    for (const port of services.flatMap(({ ports = [] }) => ports)) match(port, /^127\.0\.0\.1:/);
  });
});

describe('configurations that are deployed', () => {
  const secrets = manifests.flatMap(([file, { stringData }]) =>
    stringData?.['lemma.yaml'] === undefined ? [] : [[file, stringData['lemma.yaml']] as const],
  );
  const { configs } = parse(readFileSync(join(FOLDER, 'compose.yaml'), 'utf8'), { merge: true }) as {
    configs: Record<string, { content?: string }>;
  };
  const ROUTES =
    manifests.map(([, { data }]) => data?.['routes.yaml']).find((yaml) => yaml !== undefined) ?? '';
  const composed = ['control', 'pdp'].map(
    (name) => [`compose ${name}`, configs[name]?.content ?? ''] as const,
  );
  for (const [name, yaml] of [...secrets, ...composed]) {
    it(`${name} is one that Lemma takes`, () => {
      const folder = mkdtempSync(join(tmpdir(), 'lemma-deploy-'));
      try {
        writeFileSync(join(folder, 'routes.yaml'), ROUTES);
        const text = yaml
          .replaceAll(/\$\{\w+:-?(\w*)\??\}/g, (_, text: string) => text || 'secret')
          .replace('/etc/lemma-routes/', '')
          .replaceAll('/etc/lemma-tls/', '');
        for (const file of ['tls.crt', 'tls.key', 'control.pem', 'control.key'])
          writeFileSync(join(folder, file), '');
        writeFileSync(join(folder, 'lemma.yaml'), text);
        equal(loadConfig({ flags: {}, env: {}, cwd: folder }).config.routes.length, 1);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});

describe('Prometheus rules', () => {
  const RULES = join(FOLDER, 'lemma.rules.yaml');

  it("are what Prometheus' own parser takes", async function () {
    this.timeout(300_000);
    await had(this, run('go', ['version']));
    const child = spawn('go', ['run', '.'], {
      cwd: join(FOLDER, 'check'),
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    const said = text(child.stderr);
    child.stdin.end(await readFile(RULES));
    const [code] = await Promise.all([new Promise((resolve) => child.on('close', resolve)), said]);
    equal(code, 0, await said);
  });

  it('ask for metrics that there are', async () => {
    const served = readFileSync(new URL('../../src/server/metrics.ts', import.meta.url), 'utf8');
    const asked = new Set(readFileSync(RULES, 'utf8').match(/\blemma_[a-z_]+/g));
    for (const name of asked) ok(served.includes(`'${name.replace(/_bucket$/, '')}'`), name);
  });
});
