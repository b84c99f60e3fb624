import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { publicKeyOf, randomBytes } from '#runtime';
import { readSecret } from '../../../authority/secret-file.ts';
import { fromBase64url, toBase64url } from '../../../crypto/base64url.ts';
import { type Call, textOption } from '../../command.ts';
import { controlApi, member } from '../../control-api.ts';
import { CliError } from '../../exit.ts';
import { readProof, runtimeFiles, writeRuntime } from '../runtime-files.ts';
import { replaceFile } from '../state.ts';
import type { Ailment } from './ailment.ts';
import { quietly } from './quietly.ts';

/** Names of files that were open to others once, each with a digest of the secret that it held then. */
type Exposed = Readonly<Record<string, string>>;

const MARKS = 'exposed.json';
const MAY_BE_KNOWN = 'secret_may_be_known';

/** Remembers that others could read what is in a file: closing it makes nobody forget. */
export function markExposed(path: string): void {
  const folder = dirname(path);
  const digest = digestAt(path);
  if (digest === null) return;
  replaceFile(join(folder, MARKS), JSON.stringify({ ...marksIn(folder), [basename(path)]: digest }));
}

/** Secrets that were open to others, and are still the same. */
export function exposedAilments(folders: readonly string[], call: Call): Ailment[] {
  return [...new Set(folders)].flatMap((folder) =>
    Object.entries(marksIn(folder))
      .filter(([name, digest]) => digestAt(join(folder, name)) === digest)
      .map(([name]) => ailmentOf(join(folder, name), call)),
  );
}

function ailmentOf(path: string, call: Call): Ailment {
  const { program } = call;
  const runtime = /^(.+)\.key$/.exec(basename(path))?.[1];
  const fix = `${program} doctor --fix --error ${MAY_BE_KNOWN}`;
  const mend =
    runtime !== undefined
      ? `${fix} makes another key and takes this one back; else ${program} firewall-connect --runtime-id ${runtime} …`
      : /\.(?:proof\.json|credential)$/.test(path)
        ? `it is good for whoever has it until it ends: ${program} revoke takes it back, ${program} firewall-connect gets another`
        : basename(path) === 'session.json'
          ? `${program} session end, then ${program} session start`
          : `${program} stop, then ${program} start`;
  const one: Ailment = {
    code: MAY_BE_KNOWN,
    path,
    severity: 'warning',
    message: `${path} was open to others: what is in it may be known`,
    mend,
  };
  // It takes the old key back, and whoever works with it stops: only where it is asked for by name.
  const asked = textOption(call.options, 'error') === MAY_BE_KNOWN;
  return runtime === undefined || !asked ? one : { ...one, fix: () => rekeyed(path, runtime, call) };
}

/** Another key and proof with the same reach, by an operator's credential; then the old key is taken back. */
async function rekeyed(path: string, runtime: string, call: Call): Promise<string> {
  const files = runtimeFiles(dirname(path), runtime);
  const proof = readProof(files);
  const old = fromBase64url(readSecret(path) ?? '');
  const [id, scope, audience] = [
    member(proof?.credential, 'claims', 'runtime_id'),
    member(proof?.credential, 'scope'),
    member(proof?.credential, 'audience'),
  ];
  if (proof?.credential.type !== 'runtime' || typeof id !== 'string')
    throw new CliError('proof_missing', `${files.proof} is no runtime's proof: make another key by hand`);
  if (old?.length !== 32) throw new CliError('key_invalid', `${path} holds no plain key`);
  const api = controlApi({ ...call, json: true });
  const seed = randomBytes(32);
  const key = toBase64url(publicKeyOf(seed));
  const asked = { runtime_id: id, key, scope, audience };
  const { credential } = await api.post('/api/wallet/runtimes/issue-proof', asked);
  if (member(credential, 'key') !== key || typeof credential !== 'object' || credential === null)
    throw new CliError('answer_invalid', 'the control plane sent no proof for the new key');
  await writeRuntime(files, { seed, credential, passphrase: null });
  const reason = 'the file of this key was open to others';
  await api.post(`/api/wallet/runtimes/${id}/revoke`, { key: toBase64url(publicKeyOf(old)), reason });
  return `${runtime} has another key and proof; the key that was open to others was taken back`;
}

function marksIn(folder: string): Exposed {
  const marks: unknown = quietly(() => JSON.parse(readSecret(join(folder, MARKS)) ?? '{}'));
  if (typeof marks !== 'object' || marks === null) return {};
  return Object.fromEntries(
    Object.entries(marks).filter((mark): mark is [string, string] => typeof mark[1] === 'string'),
  );
}

function digestAt(path: string): string | null {
  const text = quietly(() => readSecret(path));
  return text === null ? null : createHash('sha256').update(text).digest('hex');
}
