import { toBase64url } from '../../../src/crypto/base64url.ts';
import type { ReasonCode } from '../../../src/reason.ts';
import { type Key, keyNamed, keys, NOW, ORIGIN } from '../../support/kit.ts';
import { type Choose, DELEGATES, type Draft, type Operator, type Spec, STRANGER } from './draft.ts';
import { breaks, claim, keeps, leafOf, one, specOf } from './make.ts';
import { REVOKED_ID, REVOKED_KEY, SPENT_BUDGET_ID } from './world.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;

/** A link below the root, or below the first delegation. */
function below(draft: Draft, from: number, pick: Choose): [Spec, number] {
  const found = one(draft.specs.slice(from), pick);
  if (found === null) throw new Error('a draft has links');
  return [found[0], found[1] + from];
}

/** The holder changes, and with it who signs the next link. */
function rekey({ specs }: Draft, at: number, holder: Key): void {
  const [spec, next] = [specs[at], specs[at + 1]];
  if (spec !== undefined) spec.holder = holder;
  if (next !== undefined) next.signer = holder;
}

const WINDOW = { root: [NOW - DAY, NOW + 30 * DAY], delegation: [NOW - HOUR, NOW + DAY] } as const;

/** What a link's parent may at most, by the kit's defaults. */
function parentWindow({ specs }: Draft, at: number): readonly [number, number] {
  const parent = specs[at - 1]?.type ?? 'root';
  return parent === 'root' || parent === 'delegation' ? WINDOW[parent] : [NOW - 600, NOW + 3000];
}

/** A runtime that another claim names: what the registry or the gate says of it. */
function naming(name: string, code: ReasonCode, claims: Record<string, unknown>): Operator {
  return breaks('draft', name, code, (draft) => {
    const runtime = specOf(draft, 'runtime');
    if (runtime === undefined) return false;
    claim(runtime, claims);
  });
}

/** Of the leaf, whatever its type. */
function leafField(
  name: string,
  codes: ReasonCode | ReasonCode[],
  fields: Record<string, unknown>,
): Operator {
  return breaks('draft', name, codes, (draft) => {
    Object.assign(leafOf(draft).fields, fields);
  });
}

const KEEPS: readonly Operator[] = [
  keeps('draft', 'narrow_scope', (draft) => {
    leafOf(draft).fields.scope = [draft.base.needs];
  }),
  keeps('draft', 'wildcard_scope_within_the_parent', (draft) => {
    const runtime = specOf(draft, 'runtime');
    if (runtime === undefined || runtime.fields.scope !== undefined) return false;
    runtime.fields.scope = ['documents.*'];
  }),
  keeps('draft', 'shorten_life', (draft, pick) => {
    leafOf(draft).fields.expires_at = NOW + 31 + pick(500);
  }),
  keeps('draft', 'begin_within_the_skew', (draft, pick) => {
    leafOf(draft).fields.not_before = NOW + pick(31);
  }),
  keeps('draft', 'add_delegation', (draft) => {
    const { specs } = draft;
    const at = specs.findIndex(({ type }) => type === 'runtime');
    if (at !== 2) return false;
    const [runtime, parent, holder] = [specs[at], specs[at - 1], DELEGATES[2]];
    if (runtime === undefined || parent === undefined || holder === undefined) return false;
    specs.splice(at, 0, { type: 'delegation', signer: parent.holder, holder, fields: {} });
    runtime.signer = holder;
  }),
  keeps('draft', 'add_run', (draft) => {
    if (specOf(draft, 'run') !== undefined) return false;
    const { holder: signer, fields } = leafOf(draft);
    const [from, to] = [
      Number(fields.not_before ?? 0),
      Number(fields.expires_at ?? Number.POSITIVE_INFINITY),
    ];
    const life = { not_before: Math.max(NOW - 60, from), expires_at: Math.min(NOW + 600, to) };
    draft.specs.push({
      type: 'run',
      signer,
      holder: keys.run,
      fields: { ...life, scope: [draft.base.needs] },
    });
  }),
  keeps('draft', 'bounds_that_hold', (draft, pick) => {
    const [spec] = below(draft, 1, pick);
    claim(spec, { bounds: { methods: [draft.base.method, 'PATCH'], path_prefixes: ['/v1', '/other'] } });
  }),
  keeps('draft', 'large_budget', (draft) => {
    claim(specOf(draft, 'runtime') ?? leafOf(draft), { budget: { operations: 1_000_000 } });
  }),
  keeps('draft', 'one_more_audience_for_all', (draft) => {
    for (const { fields } of draft.specs) fields.audience = [ORIGIN, 'https://second.example:8443'];
  }),
];

const BREAKS: readonly Operator[] = [
  breaks('draft', 'widen_scope', ['scope_escalation'], (draft, pick) => {
    const [spec] = below(draft, 2, pick);
    spec.fields.scope = [draft.base.needs, 'pay.send'];
  }),
  breaks('draft', 'widen_scope_by_prefix', 'scope_escalation', (draft, pick) => {
    below(draft, 2, pick)[0].fields.scope = [draft.base.needs, 'documentsx.read'];
  }),
  breaks('draft', 'widen_audience', 'audience_escalation', (draft, pick) => {
    below(draft, 1, pick)[0].fields.audience = [ORIGIN, 'https://evil.example'];
  }),
  breaks('draft', 'outlive_the_parent', 'expiry_escalation', (draft, pick) => {
    const [spec, at] = below(draft, 1, pick);
    spec.fields.expires_at = parentWindow(draft, at)[1] + 1 + pick(DAY);
  }),
  breaks('draft', 'begin_before_the_parent', 'expiry_escalation', (draft, pick) => {
    const [spec, at] = below(draft, 1, pick);
    spec.fields.not_before = parentWindow(draft, at)[0] - 1 - pick(DAY);
  }),
  breaks('draft', 'milliseconds_for_seconds', ['expiry_escalation', 'ttl_too_long'], (draft, pick) => {
    below(draft, 0, pick)[0].fields.expires_at = (NOW + 600) * 1000;
  }),
  breaks('draft', 'another_subject', 'chain_subject_mismatch', (draft, pick) => {
    below(draft, 1, pick)[0].fields.subject = `did:lemma:ppid_${'c'.repeat(64)}`;
  }),
  breaks('draft', 'expired', ['proof_expired', 'schema_invalid'], (draft, pick) => {
    leafOf(draft).fields.expires_at = NOW - pick(50);
  }),
  breaks('draft', 'not_yet_valid', ['proof_not_yet_valid', 'schema_invalid'], (draft, pick) => {
    leafOf(draft).fields.not_before = NOW + 31 + pick(60);
  }),
  breaks('draft', 'issued_ahead', 'proof_not_yet_valid', (draft, pick) => {
    leafOf(draft).fields.issued_at = NOW + 31 + pick(60);
  }),
  breaks('draft', 'empty_window', 'schema_invalid', (draft) => {
    Object.assign(leafOf(draft).fields, { not_before: NOW, expires_at: NOW });
  }),
  breaks('draft', 'root_over_366_days', 'ttl_too_long', (draft) => {
    const root = specOf(draft, 'root');
    if (root !== undefined) root.fields.expires_at = NOW + 367 * DAY;
  }),
  breaks('draft', 'run_over_15_minutes', 'ttl_too_long', (draft) => {
    const run = specOf(draft, 'run');
    if (run === undefined) return false;
    Object.assign(run.fields, { not_before: NOW - 60, expires_at: NOW + 900 });
  }),
  breaks('draft', 'old_binding', 'ttl_too_long', (draft) => {
    const runtime = specOf(draft, 'runtime');
    if (runtime === undefined || draft.base.risk === 'low') return false;
    runtime.fields.issued_at = NOW - HOUR - 1;
  }),
  breaks('draft', 'weak_key', 'key_weak', (draft, pick) => {
    const weak = ['01', '00', 'ec', 'ed'][pick(4)] ?? '01';
    const filler = weak === 'ec' || weak === 'ed' ? 'ff' : '00';
    const last = filler === 'ff' ? '7f' : '00';
    leafOf(draft).fields.key = toBase64url(Buffer.from(`${weak}${filler.repeat(30)}${last}`, 'hex'));
  }),
  breaks('draft', 'reuse_key', 'key_reused', (draft, pick) => {
    const at = draft.specs.length - 1;
    const holder = draft.specs[pick(at)]?.holder;
    if (holder === undefined) return false;
    rekey(draft, at, holder);
  }),
  breaks('draft', 'untrusted_issuer', 'root_untrusted', (draft) => {
    const root = specOf(draft, 'root');
    if (root !== undefined) root.signer = STRANGER;
  }),
  breaks('draft', 'root_of_another_realm', 'root_untrusted', (draft, pick) => {
    const root = specOf(draft, 'root');
    if (root !== undefined) claim(root, pick(2) === 0 ? { org: 'other' } : { env: 'dev' });
  }),
  breaks('draft', 'forge_under_the_right_key_id', 'signature_invalid', (draft, pick) => {
    below(draft, 0, pick)[0].signWith = STRANGER;
  }),
  breaks('draft', 'sign_as_a_stranger', 'chain_parent_mismatch', (draft, pick) => {
    below(draft, 1, pick)[0].signer = STRANGER;
  }),
  breaks('draft', 'another_version', 'version_unsupported', (draft, pick) => {
    below(draft, 0, pick)[0].fields.v = 2 + pick(9);
  }),
  breaks('draft', 'unknown_member', 'schema_invalid', (draft, pick) => {
    below(draft, 0, pick)[0].fields[['alg', 'jwk', 'kid', 'Scope', 'scopes'][pick(5)] ?? 'alg'] = 'none';
  }),
  breaks('draft', 'member_of_another_type', 'schema_invalid', (draft, pick) => {
    const member = ['subject', 'audience', 'scope', 'issued_at', 'key', 'parent', 'id'][pick(7)] ?? 'key';
    below(draft, 0, pick)[0].fields[member] = [null, true, 'text', {}, [[]]][pick(5)] as never;
  }),
  breaks('draft', 'number_over_its_bound', 'schema_invalid', (draft, pick) => {
    const operations = [0, -1, 1_000_001, 2 ** 53 - 1][pick(4)];
    claim(specOf(draft, 'runtime') ?? leafOf(draft), { budget: { operations } });
  }),
  breaks('draft', 'look_alike_id', 'schema_invalid', (draft, pick) => {
    const id = ['b\u043et-1', 'bot\u20101', 'bot-\u0661', 'BOT-1', 'bot-1\u200b', ' bot-1'][pick(6)];
    claim(specOf(draft, 'runtime') ?? leafOf(draft), { runtime_id: id });
  }),
  breaks('draft', 'look_alike_origin', 'schema_invalid', (draft, pick) => {
    const origin = [
      'https://\u0430pi.example.com',
      'https://API.example.com',
      `${ORIGIN}.`,
      `${ORIGIN}:443`,
      '*',
    ][pick(5)];
    for (const { fields } of draft.specs) fields.audience = [origin];
  }),
  breaks('draft', 'fourth_delegation', 'chain_too_deep', (draft) => {
    const at = draft.specs.findIndex(({ type }) => type === 'runtime');
    let signer = draft.specs[at - 1]?.holder ?? keys.delegate;
    const more = [1, 2, 3].map((i): Spec => {
      const spec: Spec = { type: 'delegation', signer, holder: keyNamed(`too deep ${i}`), fields: {} };
      signer = spec.holder;
      return spec;
    });
    const runtime = draft.specs[at];
    if (runtime !== undefined) runtime.signer = signer;
    draft.specs.splice(at, 0, ...more);
  }),
  // With three delegations, one link too many comes before the order.
  breaks('draft', 'second_run', ['chain_order_invalid', 'chain_too_deep'], (draft) => {
    const run = specOf(draft, 'run');
    if (run === undefined) return false;
    draft.specs.push({ type: 'run', signer: run.holder, holder: keyNamed('second run'), fields: {} });
  }),
  leafField('no_scope', 'scope_denied', { scope: [] }),
  breaks('draft', 'another_audience', 'audience_mismatch', (draft) => {
    for (const { fields } of draft.specs) fields.audience = ['https://pay.example.com'];
  }),
  breaks('draft', 'bounds_that_do_not_hold', 'bounds_exceeded', (draft, pick) => {
    const bounds = [{ methods: ['PATCH'] }, { path_prefixes: ['/v2'] }, { path_prefixes: ['/v1/doc'] }][
      pick(3)
    ];
    claim(below(draft, 1, pick)[0], { bounds });
  }),
  breaks('draft', 'bounds_that_ask_for_a_PoP', 'pop_required', (draft, pick) => {
    if (draft.form !== 'credential') return false;
    claim(below(draft, 1, pick)[0], { bounds: { pop: true } });
  }),
  breaks('draft', 'critical_runtime', ['pop_required', 'run_required'], (draft) => {
    const [runtime, run] = [specOf(draft, 'runtime'), specOf(draft, 'run')];
    if (runtime === undefined || (draft.form !== 'credential' && run !== undefined)) return false;
    claim(runtime, { profile: 'critical' });
  }),
  naming('unregistered_runtime', 'runtime_unknown', { runtime_id: 'bot-2' }),
  naming("another_runtime's_agent", 'runtime_unknown', { agent_id: 'other' }),
  naming("another_runtime's_workspace", 'runtime_unknown', { workspace_id: 'other' }),
  naming('killed_runtime', 'runtime_killed', { runtime_id: 'bot-killed' }),
  naming('contained_runtime', 'runtime_inactive', { runtime_id: 'bot-inactive' }),
  naming('taint_epoch_ahead', 'taint_ahead', { taint_epoch: 1 }),
  breaks('draft', 'taint_epoch_behind', 'taint_stale', (draft) => {
    const runtime = specOf(draft, 'runtime');
    if (runtime === undefined || draft.base.risk === 'low') return false;
    claim(runtime, { runtime_id: 'bot-tainted' });
  }),
  breaks('draft', 'revoked_link', 'revoked', (draft, pick) => {
    below(draft, 0, pick)[0].fields.id = REVOKED_ID;
  }),
  breaks('draft', 'revoked_key', 'revoked', (draft) => {
    rekey(draft, draft.specs.length - 1, REVOKED_KEY);
  }),
  breaks('draft', 'spent_budget', 'budget_exhausted', (draft) => {
    const runtime = specOf(draft, 'runtime');
    if (runtime === undefined) return false;
    runtime.fields.id = SPENT_BUDGET_ID;
    claim(runtime, { budget: { operations: 1 } });
  }),
  breaks('draft', 'bearer_to_a_high_route', ['pop_required'], (draft) => {
    if (draft.form === 'credential' || draft.base.risk !== 'high') return false;
    draft.form = 'credential';
  }),
  breaks('draft', 'body_with_a_key_twice', 'context_missing', (draft) => {
    if (draft.base.risk !== 'critical') return false;
    draft.text = '{"all":false,"all":true}';
  }),
  breaks('draft', 'body_that_is_no_JSON', 'context_missing', (draft) => {
    if (draft.base.risk !== 'critical') return false;
    draft.text = "{'all': true}";
  }),
];

export const CLAIMS: readonly Operator[] = [...KEEPS, ...BREAKS];
