import { type ControlApi, cell, member } from './control-api.ts';
import { CliError } from './exit.ts';

const DIGEST = /^[0-9a-f]{64}$/;

/** The digest of a bundle that the control plane keeps, named by it or by its revision. Throws CliError. */
export async function digestOf(api: ControlApi, named: string): Promise<string> {
  if (DIGEST.test(named)) return named;
  const { bundles } = await api.get('/api/wallet/policies/history');
  const known: readonly unknown[] = Array.isArray(bundles) ? bundles : [];
  const found = known.filter((bundle) => member(bundle, 'revision') === named);
  if (found.length === 1) return cell(member(found[0], 'sha256'));
  const why = found.length === 0 ? 'no bundle' : 'more than one bundle';
  throw new CliError(
    'bundle_missing',
    `the control plane keeps ${why} of revision ${named}: give its digest`,
  );
}
