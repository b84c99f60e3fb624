import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** A certificate in PEM files: the chain's, and its private key's. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface Wanted {
  /** As openssl writes them: `URI:spiffe://acme/envoy`, `DNS:localhost`, `IP:127.0.0.1`. */
  readonly names: readonly string[];
  readonly subject?: string;
}

export interface CertificateAuthority extends Certificate {
  /** Makes a certificate that this authority signs; `file` names its two files. */
  issue(file: string, wanted: Wanted): Certificate;
}

/** Skips the suite aloud where there is no `openssl`; under CI its absence is a failure. */
export function needOpenssl(suite: Mocha.Context): void {
  try {
    openssl('version');
  } catch (cause) {
    if (process.env.CI) throw cause;
    console.warn(`skipped: no openssl on the PATH (${cause instanceof Error ? cause.message : cause})`);
    suite.skip();
  }
}

/** A certificate authority of P-256 keys whose files are in `folder`. Needs OpenSSL 3. */
export function certificateAuthority(folder: string, name = 'ca'): CertificateAuthority {
  const own = files(folder, name);
  openssl(...request(own, `/CN=${name}`), '-x509', '-days', '2');
  return {
    ...own,
    issue(file, { names, subject = `/CN=${file}` }) {
      const made = files(folder, file);
      const signer = ['-x509', '-CA', own.cert, '-CAkey', own.key, '-days', '2'];
      const extensions = [`subjectAltName=${names.join(',')}`, 'basicConstraints=critical,CA:FALSE'];
      const wanted = (names.length === 0 ? extensions.slice(1) : extensions).flatMap((e) => ['-addext', e]);
      openssl(...request(made, subject), ...signer, ...wanted);
      return made;
    },
  };
}

function files(folder: string, name: string): Certificate {
  return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
}

function request({ cert, key }: Certificate, subject: string): string[] {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  return ['req', ...curve, '-subj', subject, '-keyout', key, '-out', cert];
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
