import { hash } from 'node:crypto';
import { type LogKey, signPruning } from '../decision-log/checkpoint.ts';
import { ID_PATTERN } from '../schema/common.ts';
import { checkerOf } from '../schema/validate.ts';
import { FIRST_PREV, hashesOf } from '../store/chain.ts';
import type { ChainHead, NewRecord, Pruning, RecordIndex, StoredDocument, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { Refusal } from './refusal.ts';

/** `pruning`: signed, that the node may prune what stands up to there; null where the chain has no record. */
export interface Taken {
  readonly chain: string;
  readonly pruning: Pruning | null;
}

/**
 * What nodes ship of their decision logs becomes part of this one, each journal's own chain as it was made there. A chain
 * belongs to the first journal (the database of a node, by its id) that asked for its name, for ever: the next one of the same
 * name, of a second process or a new disk, is given a name of its own.
 */
export interface Journal {
  /**
   * Takes lines of one journal in order; those that are here already are passed over. Resolves once they are durable.
   * Refusal: conflict (a line that does not follow what is here), invalid_request (a line of another chain, or none).
   */
  take(node: string, journal: string, lines: readonly string[]): Promise<Taken>;
}

export interface JournalOptions {
  readonly store: Pick<Store, 'commitRecords' | 'putDocument' | 'getDocument'>;
  readonly home: Tenant;
  /** `Snapshot.chains` at start. */
  readonly chains: readonly ChainHead[];
  /** This process's own node: nobody else may write to its chain. */
  readonly own: string;
  readonly key: () => LogKey;
  readonly clock: () => number;
}

const DOCUMENT = 'journal';
/** Of an id: what is left of the name, a dot, and so many digits of the journal's digest. */
const NAME_LENGTH = 64;
const OWN_LENGTH = 12;

/** `{"v":1,"seq":…,["lost":…,]<members>,"prev":…,"hash":…}` (src/store/chain.ts). */
const LINE =
  /^\{"v":1,"seq":(\d{1,16}),(?:"lost":(\d{1,16}),)?(.+),"prev":"([A-Za-z0-9_-]{43})","hash":"[A-Za-z0-9_-]{43}"\}$/;

const text = { type: ['string', 'null'] } as const;
const id = { type: 'string', pattern: ID_PATTERN } as const;
/** As far as records are found by it; the node's own process made it by its schema. */
const readRecord = checkerOf<Shipped>({
  type: 'object',
  required: ['decision_id', 'time', 'node', 'org', 'env', 'actor', 'verdict', 'reason', 'route'],
  properties: {
    decision_id: { type: 'string', pattern: '^dec_[A-Za-z0-9_-]{22}$' },
    time: { type: 'integer', minimum: 0 },
    node: id,
    org: id,
    env: id,
    verdict: { enum: ['allow', 'deny'] },
    reason: { type: 'string' },
    route: { type: ['object', 'null'], required: ['id'], properties: { id: { type: 'string' } } },
    actor: {
      type: ['object', 'null'],
      properties: { runtime_id: text, agent_id: text, workspace_id: text, subject: text },
    },
  },
});

interface Shipped extends Pick<RecordIndex, 'decision_id' | 'time' | 'org' | 'env' | 'verdict' | 'reason'> {
  readonly node: string;
  readonly route: { readonly id: string } | null;
  readonly actor: Partial<Pick<RecordIndex, 'runtime_id' | 'agent_id' | 'workspace_id' | 'subject'>> | null;
}

interface Line {
  readonly seq: number;
  readonly lost: number;
  readonly prev: string;
  readonly hash: string;
  readonly record: NewRecord;
}

export function createJournal({ store, home, chains, own, key, clock }: JournalOptions): Journal {
  const heads = new Map(chains.map((head) => [head.node, head]));
  const owners = new Map<string, string>();
  const turns = new Map<string, Promise<unknown>>();

  /** Whose chain it is, for ever; the journal's from now on where it was nobody's. */
  async function ownerOf(chain: string, journal: string): Promise<string> {
    const known = owners.get(chain) ?? journalIn(await store.getDocument(DOCUMENT, chain));
    if (known === null)
      await store.putDocument({
        ...home,
        kind: DOCUMENT,
        id: chain,
        version: 0,
        expires_at: null,
        body: { journal },
      });
    owners.set(chain, known ?? journal);
    return known ?? journal;
  }

  async function chainOf(node: string, journal: string): Promise<string> {
    if ((await ownerOf(node, journal)) === journal) return node;
    const chain = ownName(node, journal);
    if (chain !== own && (await ownerOf(chain, journal)) === journal) return chain;
    throw new Refusal('conflict', `${node} is the name of two journals: give the node one of its own`);
  }

  async function append(node: string, lines: readonly string[]): Promise<Pruning | null> {
    let head = heads.get(node) ?? { node, seq: 0, hash: FIRST_PREV };
    let at = head;
    const fresh: Line[] = [];
    for (const line of lines.map((one) => readLine(node, one))) {
      if (line.seq < at.seq) continue;
      if (line.seq === at.seq && line.hash === at.hash) continue;
      if (line.seq !== at.seq + 1 || line.prev !== at.hash)
        throw new Refusal(
          'conflict',
          `record ${line.seq} of ${node} does not follow record ${at.seq}, which is here: the journal was copied, or one of the two is an older state (a restored one); move the journal.db of the node away, and it begins a new one`,
        );
      fresh.push(line);
      at = { node, seq: line.seq, hash: line.hash };
    }
    for (const batch of batches(fresh)) {
      const lost = batch[0]?.lost ?? 0;
      const done = await store.commitRecords({ node, lost, records: batch.map(({ record }) => record) });
      if (done.head !== null) heads.set(node, done.head);
      head = done.head ?? head;
      // The store seals them anew, and must come to the same.
      if (head.hash !== batch.at(-1)?.hash) throw new Error(`the chain of ${node} is another here`);
    }
    return head.seq === 0 ? null : signPruning(head, clock(), key());
  }

  return {
    async take(node, journal, lines) {
      if (node === own)
        throw new Refusal('conflict', `${node} is this control plane's own name: give the node another`);
      const turn = (turns.get(node) ?? Promise.resolve()).then(async () => {
        const chain = await chainOf(node, journal);
        return { chain, pruning: await append(chain, lines) };
      });
      turns.set(
        node,
        turn.catch(() => undefined),
      );
      return turn;
    },
  };
}

function journalIn(document: StoredDocument | null): string | null {
  const body = document?.body;
  if (typeof body !== 'object' || body === null || !('journal' in body)) return null;
  return String(body.journal);
}

function ownName(node: string, journal: string): string {
  const own = hash('sha256', journal, 'hex').slice(0, OWN_LENGTH);
  return `${node.slice(0, NAME_LENGTH - OWN_LENGTH - 1)}.${own}`;
}

/** Records that were lost are told of at the start of a batch only. */
function batches(lines: readonly Line[]): Line[][] {
  const found: Line[][] = [];
  for (const line of lines) {
    const last = found.at(-1);
    if (last === undefined || line.lost > 0) found.push([line]);
    else last.push(line);
  }
  return found;
}

function readLine(node: string, line: string): Line {
  const [, seq, lost = '0', members, prev] = LINE.exec(line) ?? [];
  const hashes = hashesOf(line);
  if (seq === undefined || members === undefined || prev === undefined || hashes === null)
    throw new Refusal('invalid_request', 'lines: one is no record');
  if (hashes.stated !== hashes.actual)
    throw new Refusal('invalid_request', `lines: record ${seq} was changed: its hash does not hold`);
  const checked = readRecord(jsonOf(line));
  if (!checked.ok || checked.value.node !== node)
    throw new Refusal('invalid_request', `lines: record ${seq} is no record of ${node}`);
  const { decision_id, time, org, env, verdict, reason, route, actor } = checked.value;
  return {
    seq: Number(seq),
    lost: Number(lost),
    prev,
    hash: hashes.actual,
    record: {
      members,
      decision_id,
      time,
      org,
      env,
      verdict,
      reason,
      route: route?.id ?? null,
      runtime_id: actor?.runtime_id ?? null,
      agent_id: actor?.agent_id ?? null,
      workspace_id: actor?.workspace_id ?? null,
      subject: actor?.subject ?? null,
      // Spent at the node, where its request was decided.
      nonce: null,
      budget: [],
    },
  };
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
