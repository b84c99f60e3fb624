import type { Access } from '../authority/access.ts';
import { type ChangeKeysBody, changeKeysSchema } from '../schema/api-access.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { requirePerson } from './session-api.ts';
import type { Site } from './site.ts';

const readChange = reader<ChangeKeysBody>(changeKeysSchema);

/** What the signed-in may ask about their own keys for this site. */
export function siteKeyHandlers(
  { siteKeys }: Pick<Access, 'siteKeys'>,
  site: Site,
): Record<'ownKeys' | 'changeOwnKeys', OperatorHandler> {
  return {
    async ownKeys(operator) {
      requirePerson(operator);
      return { success: true, ...(await siteKeys.of(operator)) };
    },
    async changeOwnKeys(operator, request) {
      requirePerson(operator);
      const { signature, next_signature, ends = [], ...body } = readChange(request.body);
      const asked = { ...body, ends, origin: site(request) };
      return { success: true, ...(await siteKeys.change(operator, asked, { signature, next_signature })) };
    },
  };
}
