import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions, type Server, TLSSocket } from 'node:tls';
import { InputError, type Problem } from '../reason.ts';
import type { TlsFiles } from '../schema/config.ts';

/** A listener's TLS as read from its files: whole, and fit to serve. */
export interface Tls {
  /** For `node:tls`, `node:https` and `node:http2` servers alike. */
  readonly options: SecureContextOptions & {
    readonly requestCert: boolean;
    readonly rejectUnauthorized: boolean;
  };
  /** Null: any client that the authority vouches for, or any at all without one. */
  readonly peers: readonly string[] | null;
}

/**
 * Reads a listener's certificate, key and client authority, and tries them together.
 *
 * @param field the listener's, such as `listen.grpc`
 * @throws InputError with every file that cannot be used
 */
export function readTls(files: TlsFiles, field: string): Tls {
  const problems: Problem[] = [];
  const read = (member: 'cert' | 'key' | 'client_ca'): Buffer | undefined => {
    const path = files[member];
    if (path === null) return undefined;
    try {
      return readFileSync(path);
    } catch (cause) {
      problems.push({ field: `${field}.tls.${member}`, message: `${path} cannot be read: ${why(cause)}` });
      return undefined;
    }
  };
  const [cert, key, ca] = [read('cert'), read('key'), read('client_ca')];
  const attempt = (member: string, path: string | null, what: string, act: () => unknown) => {
    if (problems.length > 0) return;
    try {
      act();
    } catch (cause) {
      problems.push({ field: `${field}.tls.${member}`, message: `${path} ${what}: ${why(cause)}` });
    }
  };
  const isCertificate = 'must be certificates in PEM';
  attempt('cert', files.cert, isCertificate, () => new X509Certificate(cert ?? ''));
  if (ca !== undefined) attempt('client_ca', files.client_ca, isCertificate, () => new X509Certificate(ca));
  const context: SecureContextOptions = {
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(ca === undefined ? {} : { ca }),
    minVersion: 'TLSv1.2',
  };
  attempt('key', files.key, "must be the certificate's private key in PEM, without a passphrase", () =>
    createSecureContext(context),
  );
  if (problems.length > 0) throw new InputError(problems);
  const wanted = ca !== undefined;
  return { options: { ...context, requestCert: wanted, rejectUnauthorized: wanted }, peers: files.peers };
}

/** What a TLS listener does with the clients it may take, and how it gets new files without a restart. */
export interface TlsGuard {
  /** New connections meet the new files, those that are open go on. */
  renew(tls: Tls): void;
}

/**
 * Lets no client through whose certificate names nobody on the list. The handshake itself (Node's own) has verified the
 * certificate by then.
 */
export function guardTls(server: Pick<Server, 'prependListener' | 'setSecureContext'>, first: Tls): TlsGuard {
  let { peers } = first;
  // Before the server's own listener, which would read a request that is there already.
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    if (peers !== null && !isPeer(peers, peerOf(socket))) socket.destroy();
  });
  return {
    renew(tls) {
      server.setSecureContext(tls.options);
      ({ peers } = tls);
    },
  };
}

/** `…/*` takes every identity below the path. */
export function isPeer(peers: readonly string[], peer: string | null): boolean {
  if (peer === null) return false;
  return peers.some((one) => (one.endsWith('/*') ? peer.startsWith(one.slice(0, -1)) : one === peer));
}

/**
 * Who the client's certificate says it is, once verified; null without one. A SPIFFE ID where there is one, by the rule
 * that a certificate with one has no other URI (X509-SVID, section 2); else its first DNS name, else its subject, as
 * Envoy's `principal` has it.
 */
export function peerOf(socket: unknown): string | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? null : nameOf(certificate);
}

/** As `peerOf`, of a certificate. */
export function nameOf({
  subjectAltName,
  subject,
}: Pick<X509Certificate, 'subjectAltName' | 'subject'>): string | null {
  const names = alternatives(subjectAltName ?? '');
  const uris = names.filter(([kind]) => kind === 'URI').map(([, value]) => value);
  if (uris.length > 1) return null;
  const dns = names.find(([kind]) => kind === 'DNS')?.[1];
  return uris[0] ?? dns ?? (subject === '' ? null : subject.replaceAll('\n', ','));
}

/** Node writes `URI:spiffe://a/b, DNS:"with, comma"`: a value that could be misread is a JSON string (nodejs.org/api/crypto). */
function alternatives(text: string): (readonly [kind: string, value: string])[] {
  return [...text.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g)].map(
    ([, kind = '', value = '']) => [kind, value.startsWith('"') ? String(JSON.parse(value)) : value] as const,
  );
}

function why(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
