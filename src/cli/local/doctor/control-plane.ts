import type { SessionState } from '../../../schema/local-state.ts';
import { ended } from '../place.ts';
import type { Ailment } from './ailment.ts';

const ANSWER_MS = 5000;
const SKEW_MS = 30_000;

/** Whether the control plane answers, with a certificate that is trusted, and what its clock says (RFC 9110 section 6.6.1). */
export async function controlPlaneAilments(base: string): Promise<Ailment[]> {
  let response: Response;
  const begun = Date.now();
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    response = await fetch(`${base}/openapi.json`, { redirect: 'manual', signal });
    await response.body?.cancel();
  } catch (error) {
    return [noAnswer(base, error)];
  }
  const date = Date.parse(response.headers.get('date') ?? '');
  // The header counts whole seconds.
  const skew = date < begun ? begun - date - 1000 : date - Date.now();
  if (Number.isNaN(date) || skew <= SKEW_MS) return [];
  const message = `the clock here differs from ${base} by ${Math.round(skew / 1000)} s: proofs and signatures are refused`;
  return [{ code: 'clock_skew', severity: 'error', message, mend: 'set the clock, by NTP' }];
}

function noAnswer(base: string, error: unknown): Ailment {
  const cause = error instanceof Error ? error.cause : null;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(error);
  if (/CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO_/.test(code))
    return {
      code: 'tls_untrusted',
      severity: 'error',
      message: `the certificate of ${base} is not trusted (${code})`,
      mend: 'name its authority in NODE_EXTRA_CA_CERTS',
    };
  return {
    code: 'control_plane_unreachable',
    severity: 'error',
    message: `no answer from ${base} (${code})`,
    mend: 'start it, or name the right one with --api-base',
  };
}

/** `base`: the control plane that is meant. A session is needed only for one elsewhere. */
export function sessionAilments(
  session: SessionState | null,
  { base, needed, program }: { base: string; needed: boolean; program: string },
): Ailment[] {
  const mend = `${program} session start --api-base ${base}`;
  const severity = 'warning';
  if (session === null)
    return needed
      ? [{ code: 'wallet_unlock_required', severity, message: `nobody is signed in at ${base}`, mend }]
      : [];
  if (ended(session))
    return [
      { code: 'session_expired', severity, message: `the session ended at ${session.expires_at}`, mend },
    ];
  if (!needed || session.api_base === base) return [];
  const message = `the session is for ${session.api_base}, not ${base}`;
  return [{ code: 'session_elsewhere', severity, message, mend }];
}
