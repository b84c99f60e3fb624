import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Access } from '../authority/access.ts';
import { nameOf, type Operator, tenantOf } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { InputError } from '../reason.ts';
import { PERMISSIONS, type Permission } from '../schema/access.ts';
import {
  type ApproveDeviceBody,
  approveDeviceSchema,
  DEVICE_GRANT,
  DEVICE_HOURS,
  type DeviceCodeBody,
  type DeviceQuery,
  type DeviceTokenBody,
  denyDeviceSchema,
  deviceCodeSchema,
  deviceQuerySchema,
  deviceTokenSchema,
} from '../schema/api-access.ts';
import { ACCESS_OPERATIONS } from './access-operations.ts';
import { WALLET_PATH } from './console-api.ts';
import { createFlood, type Flood, type FloodLimits, sourceOf } from './flood.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { requirePerson } from './session-api.ts';
import { refuseForeignPage, type Site } from './site.ts';
import { timeText } from './time.ts';

const readCode = reader<DeviceCodeBody>(deviceCodeSchema);
const readToken = reader<DeviceTokenBody>(deviceTokenSchema);
const readQuery = reader<DeviceQuery>(deviceQuerySchema);
const readApprove = reader<ApproveDeviceBody>(approveDeviceSchema);
const readDeny = reader<DeviceQuery>(denyDeviceSchema);

/** Each code is a write. */
const CODES: FloodLimits = { burst: 10, perSecond: 0.1, everyone: { burst: 100, perSecond: 5 } };
/** A program polls every five seconds; several may share an address. */
const POLLS: FloodLimits = { burst: 60, perSecond: 2, everyone: { burst: 1000, perSecond: 200 } };
/** User codes that are none, of one operator: 34 bits must not be searched through. */
const GUESSES: FloodLimits = { burst: 10, perSecond: 0.1, everyone: { burst: 100, perSecond: 1 } };
const HOUR_MS = 3_600_000;
/** Where a person enters the code: a page of the wallet. */
const PAGE = `${WALLET_PATH}/device`;

/**
 * The program's half (RFC 8628). Its errors have our one shape, which has RFC 6749's `error` under the same name; what is
 * `error_description` there is `message` here.
 */
export function addDeviceFlow(app: FastifyInstance, { devices, audit }: Access, site: Site): void {
  const codes = createFlood(CODES);
  const polls = createFlood(POLLS);
  const admit = (flood: Flood) => ({
    onRequest: async (request: FastifyRequest) => {
      refuseForeignPage(request, site);
      flood.take(sourceOf(request));
    },
  });

  app.post(ACCESS_OPERATIONS.deviceCode.path, admit(codes), async (request) => {
    const { client_id: name, scope: asked } = readCode(request.body);
    const address = request.socket.remoteAddress ?? 'local';
    const uri = `${site(request)}${PAGE}`;
    const given = await devices.start({ name, address }, permissionsIn(asked));
    const complete = `${uri}?user_code=${given.user_code}`;
    return { success: true, ...given, verification_uri: uri, verification_uri_complete: complete };
  });

  app.post(ACCESS_OPERATIONS.deviceToken.path, admit(polls), async (request) => {
    const { grant_type, device_code, client_id } = readToken(request.body);
    if (grant_type !== DEVICE_GRANT)
      throw new Refusal('unsupported_grant_type', `grant_type: must be ${DEVICE_GRANT}`);
    const { token, key, operator } = await devices.poll(device_code, client_id);
    const entry = { what: 'deviceToken', target: key.id, request_id: request.id, outcome: 'done' };
    await audit.append(operator, entry);
    return {
      success: true,
      access_token: token,
      token_type: 'Bearer',
      expires_in: Math.floor((key.expires_at - key.created_at) / 1000),
      scope: key.permissions.join(' '),
    };
  });
}

/** The operator's half: what is asked, by whom; then yes or no. */
export function deviceHandlers({
  devices,
}: Pick<Access, 'devices'>): Record<'showDevice' | 'approveDevice' | 'denyDevice', OperatorHandler> {
  const guesses = createFlood(GUESSES);

  /** Only what misses counts. */
  async function guarded<T>(operator: Operator, ask: () => Promise<T>): Promise<T> {
    requirePerson(operator);
    const who = nameOf(operator);
    guesses.take(who);
    try {
      const found = await ask();
      guesses.giveBack(who);
      return found;
    } catch (error) {
      if (!(error instanceof Refusal && error.code === 'not_found')) guesses.giveBack(who);
      throw error;
    }
  }

  return {
    showDevice(operator, request) {
      const { user_code } = readQuery(request.query);
      return guarded(operator, async () => {
        const { client, asked, expires_at } = await devices.show(user_code);
        const lacking = asked.filter((permission) => !operator.may.has(permission));
        return {
          success: true,
          client,
          asked,
          lacking,
          hours: DEVICE_HOURS,
          expires_at: timeText(expires_at),
        };
      });
    },
    approveDevice(operator, request) {
      const { user_code, permissions, hours = DEVICE_HOURS.usual } = readApprove(request.body);
      return guarded(operator, async () => {
        const terms = { permissions, life_ms: hours * HOUR_MS };
        const approved = await devices.approve(operator, user_code, terms);
        return { success: true, ...tenantOf(approved), permissions: approved.permissions, hours };
      });
    },
    denyDevice(operator, request) {
      const { user_code } = readDeny(request.body);
      return guarded(operator, async () => {
        await devices.deny(user_code);
        return { success: true, denied: true };
      });
    },
  };
}

function permissionsIn(scope: string | undefined): Permission[] {
  const names = [...new Set((scope ?? '').split(' ').filter((name) => name !== ''))];
  const known = names.filter((name): name is Permission => PERMISSIONS.some((one) => one === name));
  const strange = names.filter((name) => !known.some((one) => one === name));
  if (strange.length > 0)
    throw new InputError([{ field: 'scope', message: `no permission is called ${strange.join(', ')}` }]);
  return known;
}
