import type { Command } from 'commander';
import { member } from './answer.ts';
import { type Call, type Result, textOption } from './command.ts';
import { controlApiAt } from './control-api.ts';
import { CliError } from './exit.ts';
import { given, homeFolder } from './local/folder.ts';
import { ended, plainBase } from './local/place.ts';
import { sessionShown } from './local/sign-in.ts';
import { readSession } from './local/state.ts';

export function define(command: Command): void {
  command.option('--api-base <url>', 'The control plane that it must be of (default: any)');
  command.option('--offline', 'Say what is stored, without asking the control plane');
}

/**
 * Done: there is a session, and the control plane knows it. Failed: `session_missing`, `session_elsewhere`, `session_expired`,
 * `auth_required`.
 */
export async function run(call: Call): Promise<Result> {
  const session = readSession(homeFolder(call));
  if (session === null)
    throw new CliError(
      'session_missing',
      `nobody is signed in here: \`${call.program} session start --api-base <url>\``,
    );
  const { api_base: base, operator, org, env, expires_at, token } = session;
  const named = textOption(call.options, 'apiBase');
  if (given(named) && plainBase(named) !== base)
    throw new CliError(
      'session_elsewhere',
      `the session is for ${base}: \`${call.program} session start --api-base ${plainBase(named)}\``,
    );
  if (ended(session))
    throw new CliError(
      'session_expired',
      `the session at ${base} ended at ${expires_at}: \`${call.program} session start --api-base ${base}\``,
    );
  const asked = call.options.offline !== true;
  if (asked) {
    const now = await controlApiAt({ base, token, as: 'the session' }, call).get('/api/wallet/session');
    if (member(now, 'operator', 'id') !== operator)
      throw new CliError('session_changed', `${base} knows this session as another's: begin a new one`);
  }
  const until = expires_at === null ? 'until it is revoked' : `until ${expires_at}`;
  return {
    data: { ...sessionShown(session), confirmed: asked },
    lines: [
      `Signed in at ${base} as ${operator} (${org}/${env}) ${until}${asked ? '' : ', as stored here'}`,
      `  may       ${session.permissions.join(' ')}`,
    ],
  };
}
