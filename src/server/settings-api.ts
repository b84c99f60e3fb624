import type { FastifyReply, FastifyRequest } from 'fastify';
import type { SettingsDocument, SettingsVerbs } from '../authority/deployment-settings.ts';
import { type Operator, tenantOf } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { InputError } from '../reason.ts';
import {
  type PutSettingsBody,
  putSettingsSchema,
  type SettingsParams,
  settingsParamsSchema,
} from '../schema/api-settings.ts';
import type { Tenant } from '../store/model.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { msOf, NO_TIME, timeText } from './time.ts';

const readParams = reader<SettingsParams>(settingsParamsSchema);
const readPut = reader<PutSettingsBody>(putSettingsSchema);

/** Settings of an organisation and of its env. Their version is their ETag. */
export function settingsHandlers(
  settings: SettingsVerbs,
  home: Tenant,
): Record<'getSettings' | 'putSettings', OperatorHandler> {
  return {
    async getSettings(operator, request, reply) {
      const { level } = readParams(request.params);
      return answer(await settings.get(operator, level), reply);
    },
    async putSettings(operator, request, reply) {
      const { level } = readParams(request.params);
      const { settings: wanted, version, reason } = readPut(request.body);
      checkSunset(wanted.legacy_sunset);
      if (level === 'org') requireWhole(operator, home);
      const replaced = versionOf(request, version);
      const who = { by: operator.id, reason };
      return answer(await settings.put(tenantOf(operator), level, wanted, replaced, who), reply);
    },
  };
}

/** What holds for the deployment's env too is not another env's to say. Refusal: forbidden. */
function requireWhole(operator: Operator, home: Tenant): void {
  if (operator.org !== home.org || operator.env === home.env || operator.may.has('platform.operators'))
    return;
  throw new Refusal(
    'forbidden',
    `the organisation's settings hold for ${home.env} too, whose operators write them: write those of your env`,
  );
}

/** Either says it, or both the same. */
function versionOf(request: FastifyRequest, said: number | undefined): number {
  const match = request.headers['if-match'];
  const tag = match === undefined ? undefined : Number(/^"(\d{1,15})"$/.exec(match)?.[1] ?? Number.NaN);
  const version = said ?? tag;
  if (version === undefined || Number.isNaN(version) || (tag !== undefined && tag !== version)) {
    const message = 'say which version is replaced, here or as If-Match: "<version>"; 0: there is none yet';
    throw new InputError([{ field: 'version', message }]);
  }
  return version;
}

function checkSunset(text: string | undefined): void {
  if (text === undefined || msOf(text) !== null) return;
  throw new InputError([{ field: 'settings.legacy_sunset', message: NO_TIME }]);
}

function answer({ at, ...document }: SettingsDocument, reply: FastifyReply): object {
  reply.header('etag', `"${document.version}"`);
  return { success: true, ...document, at: at === null ? null : timeText(at) };
}
