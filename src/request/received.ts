import type { AuthzRequest, HeaderLine } from '../schema/request.ts';
import { toRequest as fromEnvoy, traceOf } from './envoy.ts';

/** Header lines and trace by the rules of Envoy's border. The firewall's own Host is not the upstream's. */
export function headersOf(
  received: readonly HeaderLine[],
): Pick<AuthzRequest, 'headers' | 'traceId' | 'parentSpan'> {
  const lines = received.filter(([name]) => name.toLowerCase() !== 'host');
  const headers = lines.map(([key, value]) => ({ key, raw_value: Buffer.from(value, 'latin1') }));
  const plain = fromEnvoy({ attributes: { request: { http: { header_map: { headers } } } } });
  return { headers: plain.headers, ...traceOf(plain.headers) };
}
