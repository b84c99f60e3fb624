import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { rangeOf } from '../config/ip-range.ts';

/** All addresses of a host name, as text. Rejects where there are none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** An address that no connection is made to. The message is for operators: it names the address, and the mend. */
export class UpstreamRefused extends Error {
  override readonly name = 'UpstreamRefused';
}

/** By the system's resolver, as every other program on this machine. */
export const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/** Throws UpstreamRefused for a host that is an address already, and one that is never connected to. */
export function checkLiteral(host: string): void {
  if (isIP(host) === 0) return;
  const { reach, name } = rangeOf(host);
  if (reach === 'never') throw new UpstreamRefused(`${host} is ${name}: it is never connected to`);
}

/**
 * The `lookup` of a socket: it connects to an address that was checked here, and to no other, since nothing is resolved
 * again. One bad address among many refuses them all. Private addresses and this machine's own need `allowPrivate`,
 * unless the name itself says so (`localhost`). A host that is an address never comes here: see `checkLiteral`.
 */
export function checkedLookup(resolve: Resolve, allowPrivate: boolean): LookupFunction {
  return (host, options, done) => {
    resolve(host).then(
      (found) => {
        const family = options.family === 4 || options.family === 6 ? options.family : 0;
        const addresses = found
          .map((address) => ({ address, family: isIP(address) }))
          .filter((one) => family === 0 || one.family === family);
        const refused = found.map((address) => refusal(host, address, allowPrivate)).find((r) => r !== null);
        const [first] = addresses;
        if (refused !== undefined) done(refused, []);
        else if (first === undefined) done(new Error(`${host} has no address`), []);
        else if (options.all === true) done(null, addresses);
        else done(null, first.address, first.family);
      },
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error)), []),
    );
  };
}

function refusal(host: string, address: string, allowPrivate: boolean): UpstreamRefused | null {
  const { reach, name } = rangeOf(address);
  if (reach === 'public' || (reach === 'loopback' && isLocalhost(host))) return null;
  const where = `${host} is at ${address}, which is ${name}`;
  if (reach === 'never') return new UpstreamRefused(`${where}: it is never connected to`);
  if (allowPrivate) return null;
  return new UpstreamRefused(`${where}: if that is meant, say allow_private: true, or the address itself`);
}

/** RFC 6761, section 6.3. */
function isLocalhost(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}
