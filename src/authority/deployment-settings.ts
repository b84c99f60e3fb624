import type { Settings } from '../schema/api-settings.ts';
import { StoreConflict } from '../store/errors.ts';
import type { Tenant } from '../store/model.ts';
import type { Store } from '../store/store.ts';
import { Refusal } from './refusal.ts';

/** What holds for the whole organisation, or for one env of it, which goes first. */
const LEVELS = ['org', 'env'] as const;
export type Level = (typeof LEVELS)[number];

/** `version` 0: nobody has written them yet. `at` in milliseconds. */
export interface SettingsDocument {
  readonly version: number;
  readonly settings: Settings;
  readonly by: string | null;
  readonly at: number | null;
}

export interface Who {
  readonly by: string;
  readonly reason?: string | undefined;
}

/** Settings of the control plane, as documents: each write names the version that it replaces. */
export interface SettingsVerbs {
  get(tenant: Tenant, level: Level): Promise<SettingsDocument>;
  /** All of them at once. Refusal: `moved` (somebody else wrote them meanwhile). */
  put(tenant: Tenant, level: Level, settings: Settings, version: number, who: Who): Promise<SettingsDocument>;
  /** Those of the env before those of the organisation. */
  effective(tenant: Tenant): Promise<Settings>;
  /** When legacy tokens end, milliseconds; null: nobody has said so. */
  sunset(tenant: Tenant): Promise<number | null>;
}

const KIND = 'settings';
const NONE: SettingsDocument = { version: 0, settings: {}, by: null, at: null };

export function createSettings(
  store: Pick<Store, 'putDocument' | 'getDocument' | 'appendEvent'>,
  clock: () => number,
): SettingsVerbs {
  async function get(tenant: Tenant, level: Level): Promise<SettingsDocument> {
    const found = await store.getDocument(KIND, idOf(tenant, level));
    if (found === null) return NONE;
    return { ...(found.body as Omit<SettingsDocument, 'version'>), version: found.version };
  }

  async function effective(tenant: Tenant): Promise<Settings> {
    const [org, env] = await Promise.all(LEVELS.map((level) => get(tenant, level)));
    return { ...org?.settings, ...env?.settings };
  }

  return {
    get,
    effective,
    async sunset(tenant) {
      const { legacy_sunset } = await effective(tenant);
      return legacy_sunset === undefined ? null : Date.parse(legacy_sunset);
    },
    async put({ org, env }, level, settings, version, { by, reason }) {
      const at = clock();
      const id = idOf({ org, env }, level);
      const body = { settings, by, at };
      try {
        const written = await store.putDocument({
          org,
          env,
          kind: KIND,
          id,
          version,
          expires_at: null,
          body,
        });
        const noted = { by, ...(reason === undefined ? {} : { reason }) };
        const payload = { action: 'settings', level, version: written, settings, ...noted };
        await store.appendEvent({ org, env, type: 'admin', payload, time: at });
        return { ...body, version: written };
      } catch (error) {
        if (!(error instanceof StoreConflict)) throw error;
        throw new Refusal('moved', `version ${version} is not the current one: read the settings again`);
      }
    },
  };
}

function idOf({ org, env }: Tenant, level: Level): string {
  return level === 'org' ? org : `${org} ${env}`;
}
