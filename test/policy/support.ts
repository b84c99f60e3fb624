import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type Bundle, bundleOf, readBundleTar } from '../../src/policy/bundle.ts';
import type { Engine } from '../../src/policy/engine.ts';
import type { BundleArchive } from '../../src/policy/registry.ts';
import { Denial, InputError } from '../../src/reason.ts';
import { MANIFEST_FILE } from '../../src/schema/bundle.ts';
import type { Profile } from '../../src/schema/common.ts';

/** Bundles that `node tools/bundles/fixtures.ts` builds. */
export function fixture(name: 'probe' | 'host' | 'hostile'): Bundle {
  return readBundleTar(readFileSync(new URL(`./fixtures/${name}.tar.gz`, import.meta.url)));
}

/** An archive that nothing outlives. */
export function memoryArchive(): BundleArchive {
  const bundles = new Map<string, Bundle>();
  return {
    async put(bundle) {
      bundles.set(bundle.sha256, bundle);
    },
    async get(sha256) {
      return bundles.get(sha256) ?? null;
    },
  };
}

export const ALLOWED = { allow: true, reason: 'allowed', reasons: [] };

export function bytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
}

/** What the probe answers when it is told to. */
export function say(engine: Engine, answer: unknown) {
  return engine.evaluate(bytes({ answer }));
}

export function withFile(bundle: Bundle, path: string, content: Uint8Array | null): Bundle {
  const files = new Map(bundle.files);
  if (content === null) files.delete(path);
  else files.set(path, content);
  return bundleOf(files);
}

/** The same policy published again. */
export function republished(bundle: Bundle, serial: number, revision: string): Bundle {
  const manifest = structuredClone(bundle.manifest);
  const metadata = { ...manifest.metadata, lemma: { ...manifest.metadata.lemma, serial } };
  return withFile(bundle, MANIFEST_FILE, bytes({ ...manifest, revision, metadata }));
}

export function denial(code: string, message?: RegExp) {
  return (cause: unknown) => {
    assert.ok(cause instanceof Denial, String(cause));
    assert.equal(cause.code, code);
    if (message !== undefined) assert.match(cause.message, message);
    return true;
  };
}

export function inputError(message: RegExp) {
  return (cause: unknown) => {
    assert.ok(cause instanceof InputError, String(cause));
    assert.match(cause.message, message);
    return true;
  };
}

/** An input that every default profile allows. */
export function allowedInput(profile: Profile) {
  const link = { id: 'lem_AAAAAAAAAAAAAAAAAAAAAA', issuer: 'A'.repeat(43), scope: ['documents.read'] };
  const times = { issued_at: 1_789_999_990, not_before: 1_789_999_990, expires_at: 1_790_000_600 };
  const audience = ['https://api.example.com'];
  return {
    v: 1,
    now: 1_790_000_000_123,
    profile,
    request: {
      method: 'GET',
      scheme: 'https',
      host: 'api.example.com',
      path: '/v1/documents/7',
      segments: ['v1', 'documents', '7'],
      query: {},
      headers: {},
      params: { id: '7' },
      protocol: 'HTTP/1.1',
      source: { address: '127.0.0.1', principal: '' },
      body: { state: 'none' },
    },
    route: {
      id: 'documents.read',
      api: 'documents',
      action: 'documents.read',
      scope: ['documents.read'],
      audience: 'https://api.example.com',
      risk: profile,
      body: 'none',
      public: false,
      taint_on_response: false,
      revision: 'r1',
    },
    subject: { id: `did:lemma:ppid_${'0'.repeat(64)}`, org: 'acme', env: 'prod', via: 'proof' },
    runtime: {
      id: 'bot-1',
      agent_id: 'bot',
      workspace_id: 'prod',
      status: 'active',
      profile,
      registered_at: 1_780_000_000_000,
      taint_epoch: 3,
    },
    proof: {
      links: ['root', 'delegation', 'runtime', 'run'].map((type) => ({ type, ...link, audience, ...times })),
      scope: ['documents.read'],
      audience,
      expires_at: 1_790_000_600,
      intent: 'read',
      run_id: 'run-1',
      taint_epoch: 3,
      weakest_link_age_ms: 10_123,
      pop: { present: true, age_ms: 5, body_covered: true },
    },
    freshness: { age_ms: 0, source: 'local', confirmed: true, epoch: 1, seq: 9 },
    budget: null,
    legacy: { token: false, age_ms: 0 },
  };
}

type Json = { [key: string]: unknown };

/** `base` with `change` laid over it, object by object; `undefined` takes a member out. */
export function merged(base: unknown, change: Json): Json {
  const out: Json = { ...(base as Json) };
  for (const [key, value] of Object.entries(change)) {
    if (value === undefined) delete out[key];
    else out[key] = isPlain(value) && isPlain(out[key]) ? merged(out[key], value) : value;
  }
  return out;
}

function isPlain(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
