import type { Command } from 'commander';
import { fromBase64url } from '../crypto/base64url.ts';
import { thumbprint } from '../crypto/thumbprint.ts';
import type { Lemma } from '../schema/lemma.ts';
import { timeText } from '../server/time.ts';
import type { Call, Result } from './command.ts';
import { givenProof, linksOf, PROOF_ARGUMENT, timeOf } from './proof-file.ts';

export function define(command: Command): void {
  command.argument(...PROOF_ARGUMENT);
}

/** What a chain says, link by link. Nothing is verified: `proof verify` does that. */
export async function run(call: Call): Promise<Result> {
  const proof = givenProof(call);
  const links = linksOf(proof);
  const now = timeOf(undefined);
  const shown = links.map((link) => ({ ...factsOf(link), state: stateAt(link, now) }));
  return {
    data: { source: proof.source, verified: false, links: shown },
    lines: [
      ...shown.flatMap((link, i) => linesOf(call, link, i)),
      'Signatures were not checked: lemma proof verify',
    ],
  };
}

function factsOf({ type, id, issuer, subject, key, audience, scope, not_before, expires_at, claims }: Lemma) {
  const raw = fromBase64url(key);
  return {
    type,
    id,
    issuer,
    subject,
    keyid: raw === null ? null : thumbprint(raw),
    scope,
    audience,
    not_before: timeText(not_before * 1000),
    expires_at: timeText(expires_at * 1000),
    claims,
  };
}

function stateAt({ not_before, expires_at }: Lemma, now: number): 'valid' | 'expired' | 'not yet valid' {
  if (now >= expires_at) return 'expired';
  return now < not_before ? 'not yet valid' : 'valid';
}

function linesOf(
  { terminal }: Call,
  link: ReturnType<typeof factsOf> & { state: string },
  depth: number,
): string[] {
  const pad = '  '.repeat(depth);
  const state = link.state === 'valid' ? link.state : terminal.style('red', link.state);
  return [
    `${pad}${terminal.style('bold', link.type)} ${link.id}  ${state}`,
    `${pad}  subject   ${link.subject}`,
    `${pad}  scope     ${link.scope.join(' ') || '(none)'}`,
    `${pad}  audience  ${link.audience.join(' ') || '(none)'}`,
    `${pad}  valid     ${link.not_before} to ${link.expires_at}`,
    `${pad}  key       ${link.keyid ?? '(unreadable)'}, signed by ${link.issuer}`,
    `${pad}  claims    ${JSON.stringify(link.claims)}`,
  ];
}
