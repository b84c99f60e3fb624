import type { Profile } from './common.ts';

/** One header line as received: lower-case name, value without surrounding white space. */
export type HeaderLine = readonly [name: string, value: string];

/** What was seen of a body. `seen` is null where the enforcement point sent none. */
export interface BodySeen {
  readonly seen: Uint8Array | null;
  /** The enforcement point said that it cut the body. */
  readonly partial: boolean;
  /** Bytes that the enforcement point counted; null when unknown. */
  readonly size: number | null;
}

/** A request for authorization, the same whichever border it came over (architecture.md). */
export interface AuthzRequest {
  readonly border: 'grpc' | 'rest' | 'authorize' | 'firewall' | 'forward-auth' | 'authzen' | 'exchange';
  readonly method: string;
  /** `http`, `https`, or empty when unknown. */
  readonly scheme: string;
  /** Host with port, as received. */
  readonly host: string;
  /** Path and query, as received. */
  readonly target: string;
  readonly headers: readonly HeaderLine[];
  readonly body: BodySeen;
  readonly protocol: string;
  readonly source: { readonly address: string; readonly principal: string };
  /** The route that the enforcement point names (`context_extensions.lemma_route`). */
  readonly routeId?: string;
  /** All of its `context_extensions`; absent without any. */
  readonly extensions?: Readonly<Record<string, string>>;
  /** `authorize`: the runtime that the caller says acts. It must be the proof's. */
  readonly runtimeId?: string;
  /** AuthZEN: whom the caller says the proof is of; it must be the proof's subject. */
  readonly subjectId?: string;
  /** Why the border found no route for it, for operators: it is denied `route_unknown`. */
  readonly unrouted?: string;
  /** AuthZEN without a proof: whom an authenticated enforcement point says the subject is. */
  readonly asserted?: AsserterOf & { readonly id: string };
  /** What AuthZEN was asked, for the policy; proofs are taken out. */
  readonly authzen?: Readonly<Record<'subject' | 'action' | 'resource' | 'context', object>>;
  /** What the agent signed, where a gateway decides on another target than it received (firewall). */
  readonly signed?: {
    readonly scheme: string;
    readonly host: string;
    readonly target: string;
    /** Where the body that the agent sent is not the one that is decided about (MCP). */
    readonly body?: BodyFacts;
  };
  /** Why the border could not read it in one way only, for operators: it is denied `header_ambiguous`. */
  readonly ambiguous?: string;
  /** Who the client certificate of the enforcement point names (SPIFFE ID, DNS name or subject), or whose API key it showed; absent without either. */
  readonly enforcementPoint?: string;
  /** W3C trace id (32 hex), when the request carries one. */
  readonly traceId: string | null;
  /** The span that asks, with the trace id; absent without one. */
  readonly parentSpan?: ParentSpan;
}

/** Of W3C `traceparent`: its parent-id (16 hex), and whether its trace is recorded by whoever asks. */
export interface ParentSpan {
  readonly id: string;
  readonly sampled: boolean;
}

/** Who may say who a subject is, and for which tenant; null: for any. */
export interface AsserterOf {
  readonly by: string;
  readonly tenant: { readonly org: string; readonly env: string } | null;
}

export type BodyState = 'none' | 'complete' | 'truncated' | 'unseen';

/** A route as loaded: defaults filled in, pattern split, tagged with the map's revision. */
export interface Route {
  readonly id: string;
  readonly org: string;
  readonly env: string;
  readonly host: string;
  readonly path: string;
  readonly methods: readonly string[];
  readonly api: string;
  readonly action: string;
  readonly scope: readonly string[];
  readonly audience: string;
  readonly risk: Profile;
  readonly body: 'none' | 'digest' | 'json';
  /** Request headers that the policy sees, lower case; absent: those of the profile alone. */
  readonly headers?: readonly string[];
  readonly taint_on_response: boolean;
  readonly forward_credential: boolean;
  readonly mode: 'enforce' | 'observe';
  readonly public: boolean;
  readonly encoded_slash: 'deny' | 'allow';
  readonly upgrade: 'deny' | 'allow';
}

/** `tag` of a PoP among RFC 9421 signatures (proofs.md, "On the wire"); another tag is somebody else's. */
export const POP_TAG = 'lemma-pop';

/** What a request carries to authenticate itself, after the rules against ambiguity (proofs.md, step 2). */
export interface Presented {
  readonly kind: 'none' | 'credential' | 'proof' | 'token';
  /** Header value, trimmed; empty for none. */
  readonly value: string;
  readonly pop: PresentedPop | null;
}

export type PresentedPop =
  | { readonly form: 'lemma'; readonly value: string }
  | { readonly form: 'rfc9421'; readonly input: string; readonly signature: string };

/** The message that a PoP signs (RFC 9421 components), and the body it may cover. */
export interface SignedMessage {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  /** `?` and what follows; `?` alone when there is none. */
  readonly query: string;
  /** Lines of Content-Digest joined; null when absent. */
  readonly contentDigest: string | null;
  readonly proof: string;
  readonly body: BodyFacts;
}

export interface BodyFacts {
  readonly state: BodyState;
  /** The bytes, where they were seen whole; empty for `none`. */
  readonly bytes: Uint8Array | null;
}
