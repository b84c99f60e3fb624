import type { AuthzRequest, HeaderLine } from '../schema/request.ts';
import { toRequest as fromCheck } from './envoy.ts';

/** A request to Lemma itself that carries a proof, as it came over HTTP. */
export interface Own {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly target: string;
  /** Names and values as Node's parser gives them. */
  readonly headers: readonly HeaderLine[];
  readonly body: Uint8Array;
  /** The peer's. */
  readonly address: string;
}

/** The border of `exchange-proof`: the agent's PoP is over this very request. */
export function toRequest({ method, scheme, target, headers, body, address }: Own): AuthzRequest {
  const header_map = {
    headers: headers.map(([key, value]) => ({ key, raw_value: Buffer.from(value, 'latin1') })),
  };
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? '';
  const plain = fromCheck({
    attributes: { request: { http: { method, scheme, host, path: target, header_map } } },
  });
  return {
    ...plain,
    border: 'exchange',
    source: { address, principal: '' },
    body: { seen: body, partial: false, size: body.length },
  };
}
