import { authorityOf } from '../schema/origin.ts';
import type { AuthzRequest, BodyFacts, Presented, SignedMessage } from '../schema/request.ts';
import { joined } from './headers.ts';
import { splitTarget } from './target.ts';

/** What the agent signed: the request as it came, or, behind a gateway, as the gateway received it. */
export function signedMessage(request: AuthzRequest, presented: Presented, body: BodyFacts): SignedMessage {
  const sent = request.signed ?? request;
  const { path, query } = splitTarget(sent.target);
  return {
    method: request.method,
    authority: authorityOf(sent.scheme, sent.host),
    path,
    query: query === '' ? '?' : query,
    contentDigest: joined(request.headers, 'content-digest'),
    proof: presented.value,
    body: request.signed?.body ?? body,
  };
}
