import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Call } from '../../../src/cli/command.ts';
import { CliError } from '../../../src/cli/exit.ts';
import { askPassphrase } from '../../../src/cli/local/passphrase.ts';
import {
  chosenRuntime,
  keyFits,
  readProof,
  readRuntimeKey,
  runtimeFiles,
} from '../../../src/cli/local/runtime-files.ts';
import { controlPlane, emptyFolder, lemma, type Reply } from '../lemma.ts';

/** A terminal on which somebody types. */
function terminal() {
  const stream = new PassThrough();
  const raw: boolean[] = [];
  const input = Object.assign(stream, {
    isTTY: true,
    setRawMode(on: boolean) {
      raw.push(on);
      return stream;
    },
  }) as unknown as NodeJS.ReadStream;
  const shown: string[] = [];
  const ask = (env: Record<string, string> = {}) =>
    askPassphrase({ env } as unknown as Call, 'Passphrase: ', input, (text) => void shown.push(text));
  return { type: (text: string) => stream.write(text), ask, shown, raw };
}

describe('a passphrase', () => {
  it('is read from a terminal that shows nothing of it', async () => {
    const { type, ask, shown, raw } = terminal();
    const asked = ask();
    type('horse\r');
    assert.deepEqual([await asked, shown, raw], ['horse', ['Passphrase: ', '\n'], [true, false]]);
  });

  it('can be mended while it is typed', async () => {
    const { type, ask } = terminal();
    const asked = ask();
    type('horsr');
    type('\u007f');
    type('e\n');
    assert.equal(await asked, 'horse');
  });

  it('is given up with Ctrl-C, and the terminal is as it was', async () => {
    const { type, ask, raw } = terminal();
    const asked = ask();
    type('hor\u0003');
    await assert.rejects(asked, (error) => error instanceof CliError && error.code === 'interrupted');
    assert.deepEqual(raw, [true, false]);
  });

  it('is LEMMA_KEY_PASSPHRASE where that is set', async () => {
    assert.equal(await terminal().ask({ LEMMA_KEY_PASSPHRASE: 'horse' }), 'horse');
  });
});

describe("a runtime's key that a passphrase seals", () => {
  let folder: ReturnType<typeof emptyFolder>;
  let plane: Awaited<ReturnType<typeof controlPlane>>;
  const env = { LEMMA_OPERATOR_KEY: 'lm_op_x', LEMMA_KEY_PASSPHRASE: 'horse' };
  const issuing: Reply = ({ url, body }) => {
    const { key, runtime_id } = body as { key?: string; runtime_id: string };
    const credential = { v: 1, key, claims: { runtime_id }, chain: [] };
    return { body: { success: true, ...(url.endsWith('/issue-proof') ? { credential } : {}) } };
  };
  before(async () => {
    folder = emptyFolder();
    plane = await controlPlane(issuing);
    const identity = ['--runtime-id', 'bot-1', '--agent-id', 'bot', '--workspace-id', 'prod'];
    const grant = ['--scope', 'a.b', '--audience', 'https://a.example', '--seal-key'];
    const args = ['firewall-connect', ...identity, ...grant, '--api-base', plane.base, '--data', 'keys'];
    const { code, err } = await lemma(folder.path, args, env);
    assert.equal(code, 0, err);
  });
  after(async () => {
    await plane.close();
    folder.remove();
  });

  const call = (env: Record<string, string>, options = { data: 'keys' }) =>
    ({ env, options, folder: folder.path }) as unknown as Call;
  const files = () => runtimeFiles(join(folder.path, 'keys'), 'bot-1');

  it('lies there sealed, and opens to the key that the proof names', async () => {
    const text = readFileSync(files().key, 'utf8');
    const seed = await readRuntimeKey(files(), call(env));
    const proof = readProof(files());
    assert.equal(JSON.parse(text).cipher, 'aes-256-gcm');
    assert.ok(seed !== null && proof !== null && keyFits(proof, seed));
  });

  it('does not open with another', async () => {
    await assert.rejects(readRuntimeKey(files(), call({ LEMMA_KEY_PASSPHRASE: 'house' })), {
      message: /the passphrase does not open this key/,
    });
  });

  it('is found by its proof: LEMMA_PROOF_FILE, LEMMA_RUNTIME_ID, or the only one', () => {
    const named = { LEMMA_PROOF_FILE: join('keys', 'bot-1.proof.json') };
    const found = [call(named), call({ LEMMA_RUNTIME_ID: 'bot-1' }), call({})].map(chosenRuntime);
    assert.deepEqual(found, [files(), files(), files()]);
  });

  it('is not guessed among several', () => {
    const several = join(folder.path, 'several');
    mkdirSync(several);
    for (const id of ['a', 'b']) writeFileSync(join(several, `${id}.proof.json`), '{}', { mode: 0o600 });
    assert.throws(() => chosenRuntime(call({}, { data: 'several' })), { message: /a, b: say which/ });
  });

  it('is not read when others may read it', async () => {
    chmodSync(files().key, 0o604);
    await assert.rejects(readRuntimeKey(files(), call(env)), { name: 'KeyFileError' });
    chmodSync(files().key, 0o600);
  });
});
