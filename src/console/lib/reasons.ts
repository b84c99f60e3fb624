import type { ReasonCode } from '../../reason.ts';

/** What a person can do about each denial, who has read the sentence that says why. */
const NEXT: Readonly<Record<ReasonCode, string | null>> = {
  allowed: null,

  header_ambiguous:
    'Have the client, or the proxy before the gateway, send this header once and in one form.',
  credential_ambiguous: 'Send one credential, in one header: a proof, or a credential, or a token.',
  path_ambiguous:
    'Send the path in its plain form: no empty or dot segments, no encoded slashes, no backslashes.',
  route_unknown:
    'Add a route for it to the configuration, or mend the host or path that the client asks for.',
  method_not_allowed: 'Name the method in the route, or have the client use another one.',
  payload_too_large: 'Send less, or raise the limit of the gateway and of this service.',
  body_truncated: 'Have the gateway pass the whole body: its buffer is smaller than the request.',
  context_missing: 'Have the gateway pass what the policy looks at: the body, or the headers that it names.',

  auth_required: 'Give the agent a credential, and have its client send it as X-Lemma-Credential.',
  encoding_invalid:
    'Send the credential exactly as it was issued: this one was cut, wrapped or encoded again.',
  json_duplicate_key: 'Have it issued anew: a member that stands twice is nothing that our tools write.',
  version_unsupported: 'Have it issued by a current version.',
  schema_invalid: 'Have it issued anew: the fact below names the member that is wrong.',
  chain_too_deep: 'Delegate in fewer steps.',
  chain_incomplete: 'Send the whole chain, from the root to the one that acts.',
  chain_order_invalid: 'Send the links in their order: root, delegations, runtime, run.',
  root_untrusted: 'Trust its root in the configuration (trust), or have the proof issued by this authority.',
  chain_parent_mismatch: 'Have the marked link issued below the one that it is sent with.',
  key_weak: 'Make a new key, and have the proof issued for it.',
  key_reused: 'Use a key of its own for each link.',
  signature_invalid:
    'Somebody changed it, or signed with another key. If nobody should have, look who sent it; else issue it anew.',
  chain_subject_mismatch: 'Have the chain issued for one and the same person.',
  scope_escalation:
    'A link claims more than the one above gave. If nobody should have, look who issued it; else narrow it.',
  audience_escalation: 'A link is for more than the one above is for. Narrow its audience.',
  expiry_escalation: 'A link outlives the one above. Shorten it, or have the one above issued anew.',
  ttl_too_long: 'Have a proof issued that lives for less, as the profile of the route asks for.',
  proof_not_yet_valid: 'Wait, or set the clock of the machine that issued it.',
  proof_expired: 'Renew it: `lemma firewall-connect`, or the renewal of the client library.',
  pop_required:
    'Have the client sign each request with the key of the runtime: a credential alone is not enough here.',
  pop_invalid: 'Sign with the key that the proof is for, over exactly what is sent.',
  pop_stale: 'Sign each request when it is sent, and set the clock of the client.',
  pop_body_mismatch:
    'Sign the body that is sent: something on the way changed it, or another one was signed.',
  audience_mismatch: 'Have a proof issued whose audience is the origin that is asked.',
  scope_denied: 'Have a proof issued with this scope, if the runtime is to do this.',
  bounds_exceeded: 'Stay within the bounds of the delegation, or have it given wider ones.',

  runtime_unknown:
    'Register it: `lemma firewall-connect`. If it is, its registration names another agent or workspace.',
  runtime_inactive: 'Resume it, once it is known why it was contained.',
  runtime_killed: 'Nothing, if it was meant. It comes back only by being bound anew under a new epoch.',
  revoked: 'Have a new proof issued, if the runtime is still to act.',
  replay_detected: 'Sign each request anew. If the client does so, somebody repeats what it sent.',
  replay_check_unavailable: 'Look at Redis, or at the store: nobody can say whether this was sent before.',
  freshness_stale:
    'Look at the connection of this node with its control plane: it does not know the latest stops.',
  taint_stale: 'Look at what the runtime has read, then approve it again at its epoch.',
  taint_ahead: 'Wait a moment: the proof is of an epoch that this node has not heard of yet.',
  budget_exhausted: 'Have a new proof issued, with what is to be left.',
  state_not_ready: 'Wait until the service has started.',
  clock_untrusted: 'Set the clock of this machine: it went back, or is far from that of the control plane.',

  policy_denied: 'Read the rule below.',
  run_required: 'Have the runtime issue itself a run for what it is about to do, and sign with its key.',
  policy_error: 'Mend the policy: it failed where it should have decided.',
  policy_timeout: 'Make the policy cheaper: it took more steps than it may.',
  policy_unavailable: 'Publish and activate a policy for this profile.',
  bundle_rejected: 'Sign the bundle with a key that is trusted here.',
  bundle_rollback: 'Publish a newer revision: an older one is not taken.',

  legacy_disabled: 'Move the client from tokens to proofs.',
  token_invalid: 'Exchange the proof for a new token.',
  token_expired: 'Exchange the proof for a new token.',

  rate_limited: 'Have the client wait, and ask less often.',
  overloaded:
    'Ask less at once, or run more nodes. It was turned away unread, so nothing more is known of it.',
  audit_unavailable: 'Look at the disk of this node: nothing is allowed that cannot be recorded.',
  internal_error: 'Look at the log of this node, by the id of the decision.',
};

/** Null: nothing is to be done, or the code is a policy author's own. */
export function nextStep(reason: string): string | null {
  return Object.hasOwn(NEXT, reason) ? NEXT[reason as ReasonCode] : null;
}
