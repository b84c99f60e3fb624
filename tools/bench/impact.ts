import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Bundle, bundleOf } from '../../src/policy/bundle.ts';
import { loadEmbedded } from '../../src/policy/embedded.ts';
import { compileEngine, type Engine } from '../../src/policy/engine.ts';
import { writeBundles } from '../../src/policy/write-bundle.ts';
import { MANIFEST_FILE } from '../../src/schema/bundle.ts';
import type { PolicyInput } from '../../src/schema/input.ts';
import { inChunks, recordedLine } from '../../test/pdp/impact/recorded.ts';
import { cpuOf } from './lemma.ts';
import { atMost, print } from './measure.ts';
import { usualInput } from './policy-input.ts';

/**
 * `lemma policy impact` on an export, as a process of its own, from its start to its end: inputs of the usual size (2.3 KB),
 * four in five of `low`, all of them different; records of some 5 KB. Each is evaluated twice: by the bundle that decided
 * it, and by a candidate with other data, which denies one in fifty anew.
 *
 *     npm run bench -- impact [--decisions 100000] [--json]
 */

const { values } = parseArgs({
  options: { decisions: { type: 'string', default: '100000' }, json: { type: 'boolean', default: false } },
});
const decisions = Number(values.decisions);
const PEAK = /^VmHWM:\s+(\d+) kB$/m;
const LOOK_EVERY_MS = 50;
const SECONDS_AT_MOST = 10;
const MEBIBYTES_AT_MOST = 512;
const STALE_ONE_IN = 50;

const folder = mkdtempSync(join(tmpdir(), 'lemma-impact-'));
try {
  const bundles = await loadEmbedded();
  const engines = new Map<string, Engine>();
  for (const bundle of bundles) engines.set(bundle.name, await compileEngine(bundle, { spare: false }));
  const file = join(folder, 'decisions.ndjson');
  await pipeline(Readable.from(inChunks(lines(engines))), createWriteStream(file));
  await writeBundles(join(folder, 'candidate'), bundles.map(stricter));
  const { seconds, processor, mebibytes, report, err } = await measured(file);
  const { counts, reproduced } = report;
  const evaluations = reproduced.equal + counts.same + counts.newly_denied;
  const figures = [
    atMost(
      'time',
      seconds,
      's',
      (SECONDS_AT_MOST * decisions) / 100_000,
      'start, compilation and report included',
    ),
    {
      name: 'processor time',
      value: processor,
      unit: 's',
      note: `${(processor / seconds).toFixed(1)} cores were to be had, of ${availableParallelism()}`,
    },
    atMost('peak resident', mebibytes, 'MiB', MEBIBYTES_AT_MOST),
    { name: 'decisions', value: decisions / seconds, unit: '/s' },
    {
      name: 'evaluations',
      value: evaluations / seconds,
      unit: '/s',
      note: 'the recorded bundle and the candidate',
    },
    { name: 'reproduced', value: reproduced.equal, unit: '' },
    { name: 'newly denied', value: counts.newly_denied, unit: '' },
  ];
  if (reproduced.equal !== decisions)
    throw new Error(`${reproduced.equal} of ${decisions} reproduced: ${err}`);
  const bench = { title: `Policy impact on ${decisions} decisions`, figures };
  if (values.json) console.log(JSON.stringify(bench, null, 2));
  else print([bench]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function* lines(engines: ReadonlyMap<string, Engine>): Generator<string> {
  for (let n = 0; n < decisions; n++) {
    const profile = n % 5 < 4 ? 'low' : n % 2 === 0 ? 'high' : 'critical';
    const engine = engines.get(profile);
    if (engine !== undefined) yield recordedLine(n, engine, inputOf(n, usualInput(profile)));
  }
}

/** No two are the same: times, paths and runtimes differ. Of `low`, one in fifty is older than the candidate takes. */
function inputOf(n: number, usual: PolicyInput): PolicyInput {
  const id = String(n);
  const { request, runtime, freshness } = usual;
  return {
    ...usual,
    now: usual.now + n,
    request: {
      ...request,
      path: `/v1/documents/${id}/comments`,
      segments: ['v1', 'documents', id, 'comments'],
      params: { id },
    },
    runtime: runtime === null ? null : { ...runtime, id: `bot-${n % 500}` },
    freshness: { ...freshness, age_ms: usual.profile === 'low' && n % STALE_ONE_IN === 0 ? 25_000 : 100 },
  };
}

/** The same policies; `low` takes a state of 20 seconds where it took 30. */
function stricter(bundle: Bundle): Bundle {
  const files = new Map(bundle.files);
  const change = (path: string, edit: (text: string) => string) =>
    files.set(path, Buffer.from(edit(Buffer.from(files.get(path) ?? []).toString('utf8'))));
  change('data.json', (data) => data.replace(/("freshness_max_ms":\s*)30000/, '$120000'));
  change(MANIFEST_FILE, (manifest) => manifest.replace(`"${bundle.revision}"`, `"${bundle.name}-candidate"`));
  return bundleOf(files);
}

interface Told {
  readonly counts: { readonly same: number; readonly newly_denied: number };
  readonly reproduced: { readonly equal: number };
}

async function measured(file: string) {
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
  const began = performance.now();
  const args = [main, 'policy', 'impact', join(folder, 'candidate'), '--against', file, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let peak = 0;
  let processor = 0;
  const look = setInterval(() => {
    peak = Math.max(peak, peakOf(child.pid ?? 0));
    const used = cpuOf(child.pid ?? 0) / 1000;
    if (used > processor) processor = used;
  }, LOOK_EVERY_MS);
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  clearInterval(look);
  const seconds = (performance.now() - began) / 1000;
  const { data } = JSON.parse(out) as { data: Told };
  return { seconds, processor, mebibytes: peak / 1024, report: data, err };
}

/** In KiB; 0 where it has ended. */
function peakOf(pid: number): number {
  try {
    return Number(PEAK.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
