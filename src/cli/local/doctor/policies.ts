import { member } from '../../answer.ts';
import { controlApi } from '../../control-api.ts';
import { CliError } from '../../exit.ts';
import { statusIn } from '../posture.ts';
import type { Ailment, Examined } from './ailment.ts';

/** What the running firewall would not take: what its file or folder says is not what is in force. */
export function refusedAilments({ firewall, call }: Examined): Ailment[] {
  const refused = statusIn(firewall)?.refused;
  // One of an earlier version does not say.
  if (refused === undefined) return [];
  const mend = `mend what it names: it is then taken by itself (${call.program} config check)`;
  const one = (code: string, what: string, why: string | null): Ailment[] =>
    why === null
      ? []
      : [{ code, severity: 'warning', message: `the firewall goes on with ${what}: ${why}`, mend }];
  return [
    ...one('config_not_reloaded', 'the configuration of before', refused.configuration),
    ...one('bundles_not_reloaded', 'the policies of before', refused.bundles),
  ];
}

/** A firewall that follows a control plane, and decides by other policies than are in force there. */
export async function bundleAilments({ firewall, call }: Examined): Promise<Ailment[]> {
  const status = statusIn(firewall);
  if (status === null || status.mode !== 'node') return [];
  try {
    const api = controlApi({ ...call, json: true });
    if (api.base !== status.control_plane) return [];
    const { bundles } = await api.get('/api/wallet/policies/history');
    return behind(status.policies, Array.isArray(bundles) ? bundles : []);
  } catch (error) {
    // Whether it answers, and who is known there, are findings of their own.
    if (error instanceof CliError) return [];
    throw error;
  }
}

/** `kept`: the bundles of the control plane, with `active` where one is in force. */
export function behind(
  inForce: readonly { readonly name: string; readonly revision: string }[],
  kept: readonly unknown[],
): Ailment[] {
  return kept
    .filter((bundle) => member(bundle, 'active') === true)
    .flatMap((bundle): Ailment[] => {
      const [name, revision] = [String(member(bundle, 'name')), String(member(bundle, 'revision'))];
      const here = inForce.find((one) => one.name === name)?.revision ?? 'none';
      if (here === revision) return [];
      const message = `the firewall decides ${name} by revision ${here}, the control plane has ${revision} in force`;
      const mend = 'it takes it by itself once it is there: see its log for why it does not';
      return [{ code: 'bundle_behind', severity: 'warning', message, mend }];
    });
}
