import { fromBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import { MAX_LIFE } from '../proof/chain.ts';
import { linksOf } from '../proof/issue.ts';
import type { IssueProofBody } from '../schema/api.ts';
import type { Profile } from '../schema/common.ts';
import type { LemmaType } from '../schema/lemma.ts';
import type { DocumentPage, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import type { IssuedProof } from './issue.ts';

/** What is remembered of a proof that was issued here, until it ends: its terms and its chain, never the proof. Times in seconds. */
export interface Outstanding {
  readonly lemma_id: string;
  /** The runtime's public key, and its thumbprint. */
  readonly key: string;
  readonly kid: string;
  readonly profile: Profile;
  readonly taint_epoch: number;
  readonly scope: readonly string[];
  readonly audience: readonly string[];
  readonly issued_at: number;
  readonly expires_at: number;
  /**
   * No renewal lives longer. What an operator delegates lives 90 days at most (proofs.md, the table of lives); each renewal is
   * made under a delegation of its own, so this one is carried along from the proof that the operator asked for.
   */
  readonly renewable_until: number;
  readonly budget: IssueProofBody['budget'] | null;
  readonly bounds: IssueProofBody['bounds'] | null;
  readonly intent: string | null;
  /** Who asked: an operator's id, or `runtime` for a renewal. */
  readonly by: string;
  /** Root first. `key`: a thumbprint. */
  readonly links: readonly {
    readonly type: LemmaType;
    readonly id: string;
    readonly issuer: string;
    readonly key: string;
    readonly expires_at: number;
  }[];
}

export interface OutstandingProofs {
  /** `renewableUntil`: of the proof that is renewed; absent: an operator's act begins anew. */
  keep(
    tenant: Tenant,
    proof: IssuedProof,
    body: IssueProofBody,
    by: string,
    renewableUntil?: number,
  ): Promise<void>;
  /** Null for one that ended, or was never issued here. */
  get(tenant: Tenant, runtimeId: string, lemmaId: string): Promise<Outstanding | null>;
  /** The latest first. */
  of(tenant: Tenant, runtimeId: string): Promise<Outstanding[]>;
}

const PAGE = 1000;

/** Kept as documents of one kind for each runtime, so that those of one are found without looking at all. */
export function createOutstanding(
  store: Pick<Store, 'putDocument' | 'getDocument' | 'listDocuments'>,
): OutstandingProofs {
  return {
    async keep(tenant, proof, body, by, renewableUntil = proof.credential.issued_at + MAX_LIFE.delegation) {
      const document = outstandingOf(proof, body, by, renewableUntil);
      const { lemma_id: id, expires_at } = document;
      const kind = kindOf(tenant, proof.runtime_id);
      await store.putDocument({
        ...{ org: tenant.org, env: tenant.env, kind, id, version: 0 },
        expires_at: expires_at * 1000,
        body: document,
      });
    },
    async get(tenant, runtimeId, lemmaId) {
      const found = await store.getDocument(kindOf(tenant, runtimeId), lemmaId);
      return found === null ? null : (found.body as Outstanding);
    },
    async of(tenant, runtimeId) {
      const found: Outstanding[] = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const page: DocumentPage = await store.listDocuments(kindOf(tenant, runtimeId), tenant, {
          cursor,
          limit: PAGE,
        });
        found.push(...page.documents.map(({ body }) => body as Outstanding));
        cursor = page.next_cursor;
      }
      return found.sort((a, b) => b.issued_at - a.issued_at || b.taint_epoch - a.taint_epoch);
    },
  };
}

/** Ids hold no space. */
function kindOf({ org, env }: Tenant, runtimeId: string): string {
  return `proof ${org} ${env} ${runtimeId}`;
}

function outstandingOf(
  proof: IssuedProof,
  body: IssueProofBody,
  by: string,
  renewable_until: number,
): Outstanding {
  const links = linksOf(proof.credential);
  return {
    lemma_id: proof.credential.id,
    key: body.key,
    kid: keyId(body.key),
    profile: proof.profile,
    taint_epoch: proof.taint_epoch,
    scope: body.scope,
    audience: body.audience,
    issued_at: proof.credential.issued_at,
    expires_at: proof.expires_at,
    renewable_until,
    budget: body.budget ?? null,
    bounds: body.bounds ?? null,
    intent: body.intent ?? null,
    by,
    links: links.map(({ type, id, issuer, key, expires_at }) => ({
      type,
      id,
      issuer,
      key: keyId(key),
      expires_at,
    })),
  };
}

function keyId(key: string): string {
  return thumbprint(fromBase64url(key) ?? new Uint8Array());
}
