import assert from 'node:assert/strict';
import fc from 'fast-check';
import { publicKeyOf, signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { signCheckpoint, signPruning } from '../../src/decision-log/checkpoint.ts';
import { toNewRecord } from '../../src/decision-log/record.ts';
import { verifyChain } from '../../src/decision-log/verify.ts';
import { FIRST_PREV, sealLine } from '../../src/store/chain.ts';
import type { Checkpoint } from '../../src/store/model.ts';
import { withheldLine } from '../../src/store/withheld.ts';
import { recordBody } from './fixture.ts';

const SEED = new Uint8Array(32).fill(9);
const KEYS = new Map([['k', publicKeyOf(SEED)]]);
const COUNT = 12;

interface Link {
  readonly line: string;
  readonly hash: string;
}

/** A true chain; `reason` of record `edited` is another one, and all hashes from there on are true again. */
function chain(count: number, edited = 0, node = 'n1'): Link[] {
  const links: Link[] = [];
  for (let seq = 1; seq <= count; seq += 1) {
    const body = recordBody({ decision_id: `d${seq}`, node, reason: seq === edited ? 'revoked' : 'allowed' });
    const { members } = toNewRecord(body, {}, null, []);
    const { line, hash } = sealLine(seq, 0, members, links.at(-1)?.hash ?? FIRST_PREV);
    links.push({ line: line.toString(), hash });
  }
  return links;
}

function sign(seq: number, hash: string, node = 'n1'): Promise<Checkpoint> {
  return signCheckpoint({ node, seq, hash }, 1, 'k', (bytes) => toBase64url(signEd25519(bytes, SEED)));
}

describe('decision-log: verify', () => {
  const links = chain(COUNT);
  const lines = links.map(({ line }) => line);
  const lineAt = (seq: number): string => lines[seq - 1] ?? '';
  let checkpoint: Checkpoint;
  before(async () => {
    checkpoint = await sign(COUNT, links.at(-1)?.hash ?? '');
  });

  async function pruningAt(seq: number, seed = SEED): Promise<string> {
    const sign = (bytes: Uint8Array) => toBase64url(signEd25519(bytes, seed));
    const cut = { node: 'n1', seq, hash: links[seq - 1]?.hash ?? '' };
    return JSON.stringify({ pruned: await signPruning(cut, 1, { keyid: 'k', sign }) });
  }

  async function faults(
    of: readonly string[],
    checkpoints: readonly Checkpoint[] = [checkpoint],
  ): Promise<string[]> {
    const report = await verifyChain(of, checkpoints, KEYS);
    assert.equal(report.ok, report.faults.length === 0);
    return report.faults.map(({ kind, seq, line }) => `${kind} ${seq} @${line}`);
  }

  it('finds nothing in a true chain', async () => {
    const report = await verifyChain(lines, [checkpoint], KEYS);
    const { hash } = checkpoint;
    const summary = {
      node: 'n1',
      first: 1,
      last: COUNT,
      hash,
      lost: 0,
      vouched: COUNT,
      pruned: null,
      withheld: 0,
    };
    assert.deepEqual(report, {
      ok: true,
      lines: COUNT,
      chains: [summary],
      faults: [],
      faultCount: 0,
      signaturesChecked: true,
    });
  });

  it('names an edited record', async () => {
    assert.deepEqual(await faults(lines.with(4, lineAt(5).replace('"allow"', '"deny"'))), ['edited 5 @5']);
  });

  it('names an edited number', async () => {
    assert.deepEqual(await faults(lines.with(4, lineAt(5).replace('"seq":5', '"seq":50'))), ['edited 5 @5']);
  });

  it('names a record that was rewritten with a hash to fit', async () => {
    const forged = chain(5, 5).at(-1)?.line ?? '';
    assert.deepEqual(await faults(lines.with(4, forged)), ['edited 5 @6']);
  });

  it('names the checkpoint where all was rewritten from a record on', async () => {
    assert.deepEqual(await faults(chain(COUNT, 5).map(({ line }) => line)), [
      `checkpoint_mismatch ${COUNT} @${COUNT}`,
    ]);
  });

  it('names dropped records', async () => {
    assert.deepEqual(await faults(lines.toSpliced(4, 2)), ['dropped 5 @5']);
    assert.deepEqual(await faults(lines.slice(1)), ['dropped 1 @1']);
  });

  it('names a record out of order', async () => {
    assert.deepEqual(await faults([...lines.slice(0, 4), lineAt(6), lineAt(5), ...lines.slice(6)]), [
      'reordered 5 @6',
    ]);
  });

  it('names a repeated record', async () => {
    assert.deepEqual(await faults(lines.toSpliced(6, 0, lineAt(3))), ['repeated 3 @7']);
  });

  it('names a cut tail', async () => {
    assert.deepEqual(await faults(lines.slice(0, -3)), ['cut 10 @null']);
    assert.deepEqual(await faults([]), ['cut 1 @null']);
  });

  it('names a torn line', async () => {
    const torn = [...lines.slice(0, -1), lineAt(COUNT).slice(0, 200)];
    assert.deepEqual(await faults(torn), [`malformed null @${COUNT}`, `cut ${COUNT} @null`]);
  });

  it('does not count on a checkpoint whose signature does not hold, or whose key is unknown', async () => {
    assert.deepEqual(await faults(lines, [{ ...checkpoint, time: 2 }]), [
      `checkpoint_invalid ${COUNT} @null`,
    ]);
    assert.deepEqual(await faults(lines, [{ ...checkpoint, keyid: 'x' }]), [
      `checkpoint_untrusted ${COUNT} @null`,
    ]);
  });

  it('says where signatures were not checked', async () => {
    const report = await verifyChain(lines, [{ ...checkpoint, signature: '' }]);
    assert.deepEqual([report.ok, report.signaturesChecked], [true, false]);
  });

  it('lets a log begin late where a signed statement says that it was pruned, and just there', async () => {
    const pruned = await pruningAt(4);
    assert.deepEqual(await faults([pruned, ...lines.slice(4)]), []);
    assert.deepEqual(await faults([pruned, ...lines.slice(2)]), []);
    assert.deepEqual(await faults([pruned, ...lines.slice(5)]), ['dropped 5 @2']);
    assert.deepEqual(await faults([pruned, ...lines.slice(2).toSpliced(1, 1)]), ['dropped 4 @3']);
  });

  it('takes no checkpoint for such a statement', async () => {
    const begin = await sign(4, links[3]?.hash ?? '');
    assert.deepEqual(await faults(lines.slice(4), [begin, checkpoint]), ['dropped 1 @1']);
  });

  it('takes no such statement that another key signed', async () => {
    const pruned = await pruningAt(4, new Uint8Array(32).fill(1));
    assert.deepEqual(await faults([pruned, ...lines.slice(4)]), [
      'checkpoint_invalid 4 @null',
      'dropped 1 @2',
    ]);
  });

  it('names a first record that does not follow the cut', async () => {
    const other = chain(COUNT, 3).map(({ line }) => line);
    assert.deepEqual(await faults([await pruningAt(4), ...other.slice(4)], []), ['edited 4 @2']);
  });

  it('misses the record after the cut', async () => {
    assert.deepEqual(await faults([await pruningAt(4)], []), ['cut 5 @null']);
  });

  it('follows the chains of several nodes in one export', async () => {
    const other = chain(COUNT, 0, 'n2').map(({ line }) => line);
    const mixed = lines.flatMap((line, index) => [line, other[index] ?? '']);
    assert.deepEqual(await faults(mixed), []);
    assert.deepEqual(await faults(mixed.toSpliced(9, 1)), ['dropped 5 @11']);
  });

  it('finds any change of any byte, any drop and any swap', async () => {
    const place = fc.nat(COUNT - 1);
    const change = fc.oneof(
      fc.tuple(place, fc.nat(400)).map(([at, byte]) => {
        const line = lines[at] ?? '';
        const index = byte % line.length;
        const other = line[index] === 'x' ? 'y' : 'x';
        return lines.with(at, line.slice(0, index) + other + line.slice(index + 1));
      }),
      place.map((at) => lines.toSpliced(at, 1)),
      fc
        .tuple(place, place)
        .filter(([a, b]) => a !== b)
        .map(([a, b]) => lines.with(a, lines[b] ?? '').with(b, lines[a] ?? '')),
    );
    await fc.assert(
      fc.asyncProperty(change, async (changed) => {
        assert.notDeepEqual(await faults(changed), []);
      }),
    );
  });

  it('names the decision of a record, where the record is there', async () => {
    const edited = await verifyChain(
      lines.with(4, lineAt(5).replace('"allow"', '"deny"')),
      [checkpoint],
      KEYS,
    );
    const dropped = await verifyChain(lines.toSpliced(4, 1), [checkpoint], KEYS);
    assert.deepEqual([edited.faults[0]?.decision_id, dropped.faults[0]?.decision_id], ['d5', null]);
  });

  it('keeps the first thousand faults of a log that is all wrong, and counts the others', async () => {
    const report = await verifyChain(Array.from({ length: 2500 }, () => 'nonsense'));
    assert.deepEqual([report.faults.length, report.faultCount, report.ok], [1000, 2500, false]);
  });

  describe('of an export with what proves it', () => {
    const end = (seq: number) => JSON.stringify({ end: { v: 1, position: seq, heads: [headAt(seq)] } });
    const headAt = (seq: number) => ({ node: 'n1', seq, hash: links[seq - 1]?.hash ?? '' });
    const vouchedAt = async (seq: number) =>
      JSON.stringify({ checkpoint: await sign(seq, headAt(seq).hash) });
    let proven: string[];
    before(async () => {
      const middle = [...lines.slice(0, 6), await vouchedAt(6), ...lines.slice(6)];
      proven = [...middle, await vouchedAt(COUNT), end(COUNT)];
    });

    async function found(of: readonly string[]): Promise<string[]> {
      const report = await verifyChain(of, [], KEYS, { complete: true });
      return report.faults.map(({ kind, seq, line }) => `${kind} ${seq} @${line}`);
    }

    it('finds nothing in a true one', async () => assert.deepEqual(await found(proven), []));

    it('finds a cut at any line', async () => {
      for (let length = 0; length < proven.length; length += 1) {
        const faults = await found(proven.slice(0, length));
        assert.ok(
          faults.some((fault) => fault.startsWith('cut')),
          `cut at ${length}: ${faults}`,
        );
      }
    });

    it('finds a cut whose end was mended', async () => {
      assert.deepEqual(await found([...proven.slice(0, 5), end(5)]), ['unvouched 1 @null']);
    });

    it('finds records that were taken out between the checkpoints, however it is mended', async () => {
      assert.deepEqual(await found([...proven.slice(0, 6), ...proven.slice(7, 9), ...proven.slice(13)]), [
        'cut 9 @null',
        'unvouched 1 @null',
      ]);
    });

    it('names the record where the end has another hash', async () => {
      const other = end(COUNT).replace(headAt(COUNT).hash, headAt(1).hash);
      assert.deepEqual(await found([...proven.slice(0, -1), other]), [`edited ${COUNT} @null`]);
    });

    it('does not take records alone for it', async () => {
      assert.deepEqual(await found(lines), ['cut null @null', 'unvouched 1 @null']);
    });

    it('follows the chain past what is withheld, and counts it', async () => {
      const withheld = withheldLine('n1', 3, lineAt(3));
      const report = await verifyChain(proven.with(2, withheld), [], KEYS, { complete: true });
      assert.deepEqual([report.faults, report.chains[0]?.withheld], [[], 1]);
    });

    it('finds a place-holder that does not fit its neighbours', async () => {
      const withheld = withheldLine('n1', 3, lineAt(3)).replace(headAt(3).hash, headAt(4).hash);
      assert.deepEqual(await found(proven.with(2, withheld)), ['edited 3 @4']);
    });
  });
});
