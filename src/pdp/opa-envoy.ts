import type { Adapter } from '../schema/bundle.ts';
import type { PolicyInput } from '../schema/input.ts';
import type { EnvoyView } from '../schema/opa-envoy-input.ts';
import type { AuthzRequest } from '../schema/request.ts';

/** What a bundle asks for beside the contract's input. */
export interface Wishes {
  readonly adapter?: Adapter;
  readonly envoy: boolean;
  readonly redact: readonly string[];
}

/**
 * The document that the policy gets: the contract's; with Envoy's view in it where the bundle asks for that, or, behind the
 * adapter, with the view's members beside its own. Nothing is in the view that the contract's input does not show, but the
 * host as received, the query's spelling, and the enforcement point's own context extensions.
 *
 * @param query as received, with its `?`
 */
export function policyDocument(
  input: PolicyInput,
  request: AuthzRequest,
  query: string,
  wishes: Wishes,
): PolicyInput & Partial<EnvoyView> {
  const { adapter, envoy, redact } = wishes;
  if (adapter === undefined && !envoy) return input;
  const view = envoyView(input, request, shownQuery(input, query, redact));
  return adapter === 'opa-envoy' ? { ...input, ...view } : { ...input, envoy: view };
}

function envoyView(input: PolicyInput, { host, extensions = {} }: AuthzRequest, query: string): EnvoyView {
  const { method, scheme, path, headers, protocol, source, body } = input.request;
  const target = `${path}${query}`;
  const pseudo = { ':authority': host, ':method': method, ':path': target, ':scheme': scheme };
  return {
    attributes: {
      source: {
        ...(source.address === '' ? {} : { address: { socketAddress: { address: source.address } } }),
        ...(source.principal === '' ? {} : { principal: source.principal }),
      },
      request: {
        time: new Date(input.now).toISOString(),
        http: { method, headers: { ...pseudo, ...headers }, path: target, host, scheme, protocol },
      },
      contextExtensions: { ...extensions },
    },
    parsed_path: input.request.segments.map(decoded),
    parsed_query: input.request.query,
    parsed_body: body.json ?? null,
    truncated_body: body.state === 'truncated' || body.state === 'unseen',
    version: { ext_authz: 'v3', encoding: 'protojson' },
  };
}

/** As received, unless something of it was taken out: then what is left, written anew. */
function shownQuery(input: PolicyInput, query: string, redact: readonly string[]): string {
  if (!redact.some((path) => path.startsWith('query.'))) return query;
  const left = Object.entries(input.request.query).flatMap(([name, values]) =>
    values.map((value) => [name, value]),
  );
  return left.length === 0 ? '' : `?${new URLSearchParams(left).toString()}`;
}

/** What is no escape of UTF-8 stays as it is. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
