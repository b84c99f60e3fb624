import type { KeyObject } from 'node:crypto';
import { InputError } from '../reason.ts';
import { isAdapted } from '../schema/bundle.ts';
import type { Profile } from '../schema/common.ts';
import { signForOpa } from './opa-signature.ts';
import type { BundleArchive, PolicyRegistry } from './registry.ts';
import { packRegoOnly, regoOnly } from './rego-only.ts';
import { lacksEntrypoint } from './stock.ts';

/** A bundle as stock OPA pulls it. */
export interface ServedBundle {
  /** An HTTP entity tag: another one for other content or another key. Weak, since each signature is another one. */
  readonly tag: string;
  /** `tar.gz` with `.signatures.json` inside. */
  readonly bytes: Uint8Array;
}

/** What is in force, without WASM, signed for OPA. */
export interface ServedBundles {
  tag(profile: Profile): string;
  /** Throws InputError where the active one's Rego is not whole. */
  bundle(profile: Profile): Promise<ServedBundle>;
  /** Resolves once the tag is another one, after `ms`, once `signal` is aborted, or when this is closed; at once where too many wait. */
  changed(profile: Profile, tag: string, ms: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface ServedOptions {
  readonly policies: Pick<PolicyRegistry, 'active' | 'onExchange'>;
  readonly archive: Pick<BundleArchive, 'get'>;
  readonly signer: () => { readonly key: KeyObject; readonly keyid: string };
}

const WAITING_AT_MOST = 512;
const LAYERED =
  "this policy stands behind an adapter, after the profile's own: OPA alone would not decide as it does here";
const PRUNED =
  'this bundle is of stock `opa build -t wasm`, which takes the rules of the entrypoint out of the Rego: give OPA the Rego that it was built of';

export function createServedBundles({ policies, archive, signer }: ServedOptions): ServedBundles {
  const packed = new Map<Profile, { readonly tag: string; readonly bytes: Promise<Uint8Array> }>();
  const waiting = new Set<() => void>();
  let closed = false;
  const wake = () => {
    for (const one of [...waiting]) one();
  };
  const unhear = policies.onExchange(wake);

  const tag = (profile: Profile) => `W/"${policies.active(profile).ref.sha256}.${signer().keyid}"`;

  async function pack(profile: Profile): Promise<Uint8Array> {
    const { sha256 } = policies.active(profile).ref;
    const { key, keyid } = signer();
    const bundle = await archive.get(sha256);
    if (bundle === null) throw new Error(`the archive lacks the active bundle of ${profile}`);
    if (lacksEntrypoint(bundle)) throw new InputError([{ field: '', message: PRUNED }]);
    if (isAdapted(bundle.manifest)) throw new InputError([{ field: '', message: LAYERED }]);
    return packRegoOnly(signForOpa(regoOnly(bundle), key, { keyid }));
  }

  return {
    tag,
    async bundle(profile) {
      const now = tag(profile);
      const known = packed.get(profile);
      if (known?.tag === now) return { tag: now, bytes: await known.bytes };
      const bytes = pack(profile);
      packed.set(profile, { tag: now, bytes });
      try {
        return { tag: now, bytes: await bytes };
      } catch (error) {
        packed.delete(profile);
        throw error;
      }
    },
    changed(profile, known, ms, signal) {
      if (closed || signal.aborted || waiting.size >= WAITING_AT_MOST || tag(profile) !== known)
        return Promise.resolve();
      return new Promise((resolve) => {
        const end = () => {
          clearTimeout(timer);
          waiting.delete(look);
          signal.removeEventListener('abort', end);
          resolve();
        };
        const look = () => {
          if (closed || tag(profile) !== known) end();
        };
        const timer = setTimeout(end, ms);
        waiting.add(look);
        signal.addEventListener('abort', end);
      });
    },
    close() {
      closed = true;
      unhear();
      wake();
    },
  };
}
