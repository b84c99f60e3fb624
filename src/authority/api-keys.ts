import type { Permission } from '../schema/access.ts';
import { API_KEY_DAYS, type CreateApiKeyBody } from '../schema/api-access.ts';
import type { StoredDocument, Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { isMoved, retrying } from './changing.ts';
import type { Operator } from './operators.ts';
import { notFound, Refusal } from './refusal.ts';
import { lacking, NEVER_OF_API_KEYS } from './roles.ts';
import { operatorOf, type Roster } from './roster.ts';
import { digestOf, TOKEN_LENGTH, type Tokens } from './token.ts';

/** `device`: what the CLI got by the device flow. */
export type BearerKind = 'api_key' | 'device';

/** What is kept of a bearer key. Times in milliseconds. */
interface Kept {
  readonly kind: BearerKind;
  readonly name: string;
  /** The first characters of the secret, so that its owner knows it again. */
  readonly prefix: string;
  readonly operator_id: string;
  readonly permissions: readonly Permission[];
  readonly created_at: number;
  /** Coarse: written once in a while. Null: never. */
  readonly last_used_at: number | null;
}

/** `id` is the digest of the secret, and no secret. */
export interface ApiKey extends Kept {
  readonly id: string;
  readonly expires_at: number;
}

export interface NewKey {
  readonly token: string;
  readonly key: ApiKey;
}

export interface ApiKeys {
  /** Refusal: forbidden (a permission that the caller lacks, or that no API key has). */
  create(caller: Operator, body: CreateApiKeyBody): Promise<NewKey>;
  /** What the device flow hands out. `permissions` were approved by the operator himself. */
  mint(
    operator: Tenant & { readonly id: string },
    key: Pick<Kept, 'kind' | 'name' | 'permissions'> & { readonly life_ms: number },
  ): Promise<NewKey>;
  list(
    tenant: Tenant,
    page: { readonly cursor?: string; readonly limit: number },
  ): Promise<{ readonly keys: readonly ApiKey[]; readonly next_cursor: string | null }>;
  /** Refusal: not_found; forbidden (another operator's, unless the caller may remove operators). */
  revoke(caller: Operator, id: string): Promise<void>;
  /** Null: none of ours, expired, revoked, or its operator is gone. */
  authenticate(token: string): Promise<Operator | null>;
}

export interface ApiKeysOptions {
  readonly store: Pick<Store, 'getDocument' | 'putDocument' | 'listDocuments' | 'removeDocument'>;
  readonly roster: Roster;
  readonly tokens: Tokens;
  /** Milliseconds: keys made before do not count. A store that was restored does not know which were revoked since. */
  readonly validFrom: number;
  readonly clock: () => number;
  readonly onError: (error: unknown, doing: string) => void;
}

const KIND = 'api_key';
const PREFIXES: Readonly<Record<BearerKind, string>> = { api_key: 'lm_ak_', device: 'lm_cs_' };
const TOKEN = new RegExp(`^lm_(?:ak|cs)_[A-Za-z0-9_-]{${TOKEN_LENGTH}}$`);
const SHOWN = 12;
const DAY_MS = 86_400_000;
/** How old the noted last use may get. */
const USE_NOTED_MS = 300_000;

export function createApiKeys(options: ApiKeysOptions): ApiKeys {
  const { store, roster, tokens, validFrom, clock, onError } = options;
  const mint: ApiKeys['mint'] = async (
    { id: operator_id, org, env },
    { kind, name, permissions, life_ms },
  ) => {
    const token = tokens.make(PREFIXES[kind]);
    const now = clock();
    const body: Kept = {
      kind,
      name,
      prefix: token.slice(0, SHOWN),
      operator_id,
      permissions,
      created_at: now,
      last_used_at: null,
    };
    const id = digestOf(token);
    const expires_at = now + life_ms;
    await store.putDocument({ kind: KIND, id, org, env, version: 0, expires_at, body });
    return { token, key: { ...body, id, expires_at } };
  };

  /** Not awaited: whoever calls does not wait for it, and one that is lost costs nothing. */
  function noteUse(document: StoredDocument, kept: Kept): void {
    const now = clock();
    if (kept.last_used_at !== null && now - kept.last_used_at < USE_NOTED_MS) return;
    store.putDocument({ ...document, body: { ...kept, last_used_at: now } }).catch((error: unknown) => {
      if (!isMoved(error)) onError(error, 'the last use of an API key could not be noted');
    });
  }

  return {
    mint,

    async create(caller, { name, permissions, days = API_KEY_DAYS.usual }) {
      requireHeld(caller, permissions);
      const never = permissions.filter((permission) => NEVER_OF_API_KEYS.has(permission));
      if (never.length > 0)
        throw new Refusal('forbidden', `no API key has ${never.join(', ')}: sign in for that`);
      return mint(caller, { kind: 'api_key', name, permissions, life_ms: days * DAY_MS });
    },

    async list(tenant, page) {
      const { documents, next_cursor } = await store.listDocuments(KIND, tenant, page);
      return { keys: documents.map(keyOf), next_cursor };
    },

    revoke: (caller, id) =>
      retrying(async () => {
        const document = await store.getDocument(KIND, id);
        if (document === null || document.org !== caller.org || document.env !== caller.env)
          throw notFound('API key');
        const { operator_id } = document.body as Kept;
        if (operator_id !== caller.id && !caller.may.has('operators.write'))
          throw new Refusal(
            'forbidden',
            'another operator made this key: its maker or an owner can revoke it',
          );
        await store.removeDocument(document);
      }),

    async authenticate(token) {
      if (!TOKEN.test(token)) return null;
      const document = await store.getDocument(KIND, digestOf(token));
      if (document === null) return null;
      const kept = document.body as Kept;
      if (kept.created_at < validFrom) return null;
      const { org, env } = document;
      const member = await roster.find({ org, env }, kept.operator_id);
      if (member === null) return null;
      noteUse(document, kept);
      return operatorOf(member, { org, env }, { kind: kept.kind, id: document.id }, kept.permissions);
    },
  };
}

/** Refusal: forbidden, with what the caller lacks. */
export function requireHeld(caller: Operator, permissions: readonly Permission[]): void {
  const beyond = lacking(permissions, caller.may);
  if (beyond.length > 0)
    throw new Refusal('forbidden', `permissions: you lack ${beyond.join(', ')} yourself`);
}

function keyOf({ id, expires_at, body }: StoredDocument): ApiKey {
  return { ...(body as Kept), id, expires_at: expires_at ?? 0 };
}
