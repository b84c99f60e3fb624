import { randomBytes, sha256, signEd25519 } from '#runtime';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { credentialOf, encodeCredential } from '../../src/proof/issue.ts';
import { signPop } from '../../src/proof/sign-pop.ts';
import type { CheckRequestMessage } from '../../src/schema/check.ts';
import type { Lemma } from '../../src/schema/lemma.ts';
import { checkMethod, loadProtos } from '../../src/server/proto.ts';
import { AUDIENCE, HOST, makeAgentChain, RUNTIME } from '../agent.ts';

/**
 * One deployment and one agent, as CheckRequests for Lemma and, with the same keys, claims and other headers, for OPA.
 *
 * `whole`: POST with a body, high profile, a chain of three links and a PoP; `bearer`: GET, low profile, the chain alone.
 */
export interface World {
  /** The content of lemma.yaml. */
  readonly config: object;
  readonly runtimeId: string;
  /** `count` requests, each with a nonce and a PoP of its own, made now: good for a minute. */
  whole(count: number): Uint8Array[];
  /** The same request as often as it is wanted. */
  bearer(count: number): Uint8Array[];
  /** A whole request whose chain no cache has seen: another runtime link each. */
  cold(count: number): Uint8Array[];
  readonly opa: {
    whole(count: number): Uint8Array[];
    bearer(count: number): Uint8Array[];
    /** What its policies know: the trusted key; users, roles and permissions. */
    readonly data: object;
  };
}

const BODY = JSON.stringify({
  text: 'The draft reads well; see the two remarks on page three.',
  notify: ['ann', 'bob'],
});
const WRITE = { method: 'POST', path: '/v1/documents/7/comments?notify=true' };
const READ = { method: 'GET', path: '/v1/documents/7' };
const encoder = new TextEncoder();
const { requestSerialize } = checkMethod(loadProtos());

export function makeWorld(): World {
  const now = Math.floor(Date.now() / 1000);
  const { keys, root, delegation, bind, config } = makeAgentChain({
    scope: ['documents.read', 'documents.write'],
    issued_at: now - 10,
    expires_at: now + 3000,
    intent: 'comment on the draft',
  });
  const { issuer, operator, delegate, runtime } = keys;
  const credentialWith = (leaf: Lemma) => encodeCredential(credentialOf([root, delegation, leaf]));
  const leaf = bind();
  const credential = credentialWith(leaf);
  const tokens = jwtChain([root, delegation, leaf], [issuer, operator, delegate]);

  const pop = (proof: string) =>
    signPop({
      method: WRITE.method,
      url: `${AUDIENCE}${WRITE.path}`,
      proof,
      body: encoder.encode(BODY),
      seed: runtime.seed,
      created: Math.floor(Date.now() / 1000),
    });
  const jwtPop = () =>
    jwt(runtime.seed, {
      htm: WRITE.method,
      htu: `${AUDIENCE}${WRITE.path}`,
      iat: Math.floor(Date.now() / 1000),
      jti: toBase64url(randomBytes(18)),
      ath: hex(sha256(encoder.encode(tokens))),
      // OPA hashes to hexadecimal.
      body: hex(sha256(encoder.encode(BODY))),
    });
  const bearing = encoded(READ, { 'x-lemma-credential': credential });
  const asUser = encoded(READ, { 'x-user': 'user-7' });

  return {
    config: {
      ...config,
      node: 'bench',
      routes: [
        route(
          'documents.comment',
          WRITE.method,
          '/v1/documents/{id}/comments',
          'documents.write',
          'high',
          'digest',
        ),
        route('documents.read', READ.method, '/v1/documents/{id}', 'documents.read', 'low', 'none'),
      ],
    },
    runtimeId: RUNTIME,
    whole: (count) => times(count, () => encoded(WRITE, pop(credential), BODY)),
    bearer: (count) => times(count, () => bearing),
    cold: (count) => times(count, () => encoded(WRITE, pop(credentialWith(bind())), BODY)),
    opa: {
      whole: (count) => times(count, () => encoded(WRITE, { 'x-chain': tokens, 'x-pop': jwtPop() }, BODY)),
      bearer: (count) => times(count, () => asUser),
      data: { trusted: { [issuer.id]: toBase64url(issuer.public) }, ...rbacData() },
    },
  };
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function route(id: string, method: string, path: string, scope: string, risk: string, body: string) {
  const what = { id, host: HOST, path, methods: [method], api: 'documents', action: id, scope: [scope] };
  return { ...what, audience: AUDIENCE, risk, body };
}

/** Each lemma as a JWT of the same claims, and the key that signed it by name; joined as SD-JWTs are, by `~`. */
function jwtChain(links: readonly Lemma[], signers: readonly { seed: Uint8Array; id: string }[]): string {
  let parent = '';
  const tokens = links.map((lemma, i) => {
    const { signature: _signature, parent: _parent, ...claims } = lemma as Lemma & { parent?: string };
    const token = jwt(signers[i]?.seed ?? new Uint8Array(32), {
      ...claims,
      // OPA hashes to hexadecimal.
      ...(parent === '' ? {} : { parent: hex(sha256(encoder.encode(parent))) }),
    });
    parent = token;
    return token;
  });
  return tokens.join('~');
}

function jwt(seed: Uint8Array, claims: object): string {
  const text = [{ alg: 'EdDSA' }, claims]
    .map((part) => toBase64url(encoder.encode(JSON.stringify(part))))
    .join('.');
  return `${text}.${toBase64url(signEd25519(encoder.encode(text), seed))}`;
}

/** A request as Envoy sends it by default: headers joined, pseudo-headers among them, the body as text. */
function encoded(
  { method, path }: { method: string; path: string },
  headers: Record<string, string>,
  body?: string,
): Uint8Array {
  const common = {
    ':authority': HOST,
    ':method': method,
    ':path': path,
    ':scheme': 'https',
    accept: 'application/json',
    'accept-encoding': 'gzip, deflate, br',
    'user-agent': 'research-bot/1.4 (+https://agents.example.com/bot)',
    'x-forwarded-for': '10.0.0.7',
    'x-forwarded-proto': 'https',
    'x-request-id': '5f1b7c9e-2d53-4c52-9a57-1b1f1f6f0c11',
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
  };
  const message: CheckRequestMessage = {
    attributes: {
      source: {
        address: { socket_address: { address: '10.0.0.7' } },
        principal: 'spiffe://acme/ns/prod/sa/research-bot',
      },
      request: {
        http: {
          method,
          scheme: 'https',
          host: HOST,
          path,
          protocol: 'HTTP/2',
          headers: { ...common, ...headers },
          size: body === undefined ? -1 : Buffer.byteLength(body),
          ...(body === undefined ? {} : { body }),
        },
      },
    },
  };
  return new Uint8Array(requestSerialize(message));
}

/** A thousand users with two roles each of fifty, and what each role may do. */
function rbacData(): object {
  const methods = ['GET', 'POST', 'PUT', 'DELETE'];
  const kinds = ['documents', 'folders', 'comments', 'users', 'reports'];
  const roles = Object.fromEntries(
    times(50, () => 0).map((_, i) => [
      `role-${i}`,
      times(4, () => 0).map((__, j) => ({
        methods: methods.slice(0, 1 + ((i + j) % 4)),
        kind: kinds[(i + j) % 5],
      })),
    ]),
  );
  const users = Object.fromEntries(
    times(1000, () => 0).map((_, i) => [
      `user-${i}`,
      { active: true, tenant: 'acme', roles: [`role-${i % 50}`, `role-${(i * 7 + 3) % 50}`] },
    ]),
  );
  return { roles, users, tenants: { [HOST]: 'acme' } };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
