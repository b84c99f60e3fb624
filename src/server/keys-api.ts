import type { KeyRing } from '../authority/key-ring.ts';
import { type RetireKeyBody, type RotateKeyBody, retireKeySchema, rotateKeySchema } from '../schema/api.ts';
import type { SigningKey } from '../store/model.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { timeText } from './time.ts';

const readRotate = reader<RotateKeyBody>(rotateKeySchema);
const readRetire = reader<RetireKeyBody>(retireKeySchema);

/** The verbs on the deployment's signing keys. Only public halves ever leave. */
export function keyHandlers(
  ring: Pick<KeyRing, 'list' | 'rotate' | 'retire'>,
): Record<'listKeys' | 'rotateKey' | 'retireKey', OperatorHandler> {
  return {
    listKeys: () => ({ success: true, keys: ring.list().map(keyJson) }),
    async rotateKey(operator, request) {
      const { use, reason } = readRotate(request.body);
      return { success: true, key: keyJson(await ring.rotate(use, { reason, by: operator.id })) };
    },
    async retireKey(operator, request) {
      const { kid, reason } = readRetire(request.body);
      return { success: true, key: keyJson(await ring.retire(kid, { reason, by: operator.id })) };
    },
  };
}

function keyJson({ use, kid, x, status, since, until }: SigningKey): object {
  return { use, kid, x, status, since: timeText(since), until: until === null ? null : timeText(until) };
}
