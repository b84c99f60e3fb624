import { randomBytes } from '#runtime';
import { toBase64url } from '../crypto/base64url.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { type Operator, type ShownBy, tenantOf } from './operators.ts';

/** What an operator did, or was refused. Times in milliseconds. */
export interface AuditEntry {
  readonly id: string;
  readonly who: { readonly operator_id: string; readonly by: ShownBy };
  /** The operation's id, as `/openapi.json` has it. */
  readonly what: string;
  /** What it was done to, as the request named it. */
  readonly target: string | null;
  readonly time: number;
  readonly request_id: string;
  /** `done`, or the code of the refusal. */
  readonly outcome: string;
}

export interface Audit {
  /** Durable when it resolves. */
  append(operator: Operator, entry: Omit<AuditEntry, 'id' | 'who' | 'time'>): Promise<void>;
  /** A tenant's, the latest first. */
  list(
    tenant: Tenant,
    page: { readonly cursor?: string; readonly limit: number },
  ): Promise<{ readonly entries: readonly AuditEntry[]; readonly next_cursor: string | null }>;
}

export interface AuditOptions {
  readonly store: Pick<Store, 'putDocument' | 'listDocuments'>;
  readonly clock: () => number;
  /** How long an entry is kept: as long as the decisions that it may explain. */
  readonly keepMs: () => number;
}

const KIND = 'audit';
/** Beyond every time in milliseconds. */
const END_OF_TIME = 2 ** 48;
const LONGEST_TARGET = 256;

export function createAudit({ store, clock, keepMs }: AuditOptions): Audit {
  let latest = 0;

  /** Counted down, so that the order by id is from the latest back; two of one process never share a moment. */
  function idAt(now: number): string {
    latest = Math.max(latest + 1, now * 16);
    const left = END_OF_TIME * 16 - latest;
    return `aud_${left.toString(16).padStart(13, '0')}${toBase64url(randomBytes(8))}`;
  }

  return {
    async append(operator, { what, target, request_id, outcome }) {
      const time = clock();
      const who = { operator_id: operator.id, by: operator.by };
      await store.putDocument({
        kind: KIND,
        id: idAt(time),
        ...tenantOf(operator),
        version: 0,
        expires_at: time + keepMs(),
        body: { who, what, target: target?.slice(0, LONGEST_TARGET) ?? null, time, request_id, outcome },
      });
    },

    async list(tenant, page) {
      const { documents, next_cursor } = await store.listDocuments(KIND, tenant, page);
      const entries = documents.map(({ id, body }) => ({ id, ...(body as Omit<AuditEntry, 'id'>) }));
      return { entries, next_cursor };
    },
  };
}
