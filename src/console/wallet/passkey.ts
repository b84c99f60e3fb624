import { fromBase64url, toBase64url } from '../../crypto/base64url.ts';
import { type Lock, randomly } from './seal.ts';

/** A key that an authenticator holds: WebAuthn level 3, section 10.1.4 (the PRF extension). Nothing of it leaves the browser. */

type PasskeyLock = Extract<Lock, { kind: 'passkey' }>;

/** This browser, or its authenticator, has no passkey that gives a key. */
export class NoPasskey extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoPasskey';
  }
}

/** Whether it is worth asking. */
export function passkeysHere(): boolean {
  return typeof PublicKeyCredential === 'function' && isSecureContext;
}

/** Makes a passkey for this host. Throws NoPasskey. */
export async function createPasskey(): Promise<{ readonly lock: PasskeyLock; readonly prf: Uint8Array }> {
  const salt = randomly(32);
  const rp = location.hostname;
  const made = await asked(() =>
    navigator.credentials.create({
      publicKey: {
        rp: { id: rp, name: 'Lemma wallet' },
        user: { id: randomly(16), name: `Lemma wallet at ${rp}`, displayName: 'Lemma wallet' },
        // Nobody checks the signature: only the PRF is used.
        challenge: randomly(32),
        pubKeyCredParams: [
          { type: 'public-key', alg: -8 },
          { type: 'public-key', alg: -7 },
          { type: 'public-key', alg: -257 },
        ],
        authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
        attestation: 'none',
        extensions: { prf: { eval: { first: salt } } },
      },
    }),
  );
  const { prf } = made.getClientExtensionResults();
  if (prf?.enabled !== true)
    throw new NoPasskey('This authenticator gives no key (it lacks the PRF extension). Use a passphrase.');
  const lock: PasskeyLock = {
    kind: 'passkey',
    salt: toBase64url(salt),
    credential: toBase64url(new Uint8Array(made.rawId)),
    rp,
  };
  // Some give it at once, some only when they are asked again.
  const first = prf.results?.first;
  return { lock, prf: first === undefined ? await askPasskey(lock) : bytesOf(first) };
}

/** 32 bytes. Throws NoPasskey. */
export async function askPasskey({ salt, credential, rp }: PasskeyLock): Promise<Uint8Array> {
  const shown = await asked(() =>
    navigator.credentials.get({
      publicKey: {
        rpId: rp,
        challenge: randomly(32),
        allowCredentials: [{ type: 'public-key', id: plain(credential) }],
        userVerification: 'required',
        extensions: { prf: { evalByCredential: { [credential]: { first: plain(salt) } } } },
      },
    }),
  );
  const first = shown.getClientExtensionResults().prf?.results?.first;
  if (first === undefined) throw new NoPasskey('The passkey gave no key. Restore the wallet by its words.');
  return bytesOf(first);
}

async function asked(ask: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const found = await ask();
    if (found instanceof PublicKeyCredential) return found;
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    throw new NoPasskey(
      cause.name === 'NotAllowedError'
        ? 'The passkey was not used: it was refused, it took too long, or it is not at hand.'
        : `The passkey was not used: ${cause.message}`,
    );
  }
  throw new NoPasskey('There is no passkey.');
}

function bytesOf(source: BufferSource): Uint8Array {
  return source instanceof ArrayBuffer
    ? new Uint8Array(source)
    : new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
}

function plain(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(fromBase64url(text) ?? []);
}
