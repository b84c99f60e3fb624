import { fromBase64, toBase64 } from '../../../src/crypto/base64url.ts';
import type { ReasonCode } from '../../../src/reason.ts';
import { NOW } from '../../support/kit.ts';
import { freshNonce, type Operator, STRANGER } from './draft.ts';
import { breaks, keeps, onText } from './make.ts';
import { SPENT_NONCE } from './world.ts';

type Specify = Parameters<typeof breaks<'pop'>>[3];

/** Only where there is a PoP. */
function popping(apply: Specify): Specify {
  return (pop, pick, stages) => (stages.draft.form === 'credential' ? false : apply(pop, pick, stages));
}

const wrong = (name: string, apply: Specify, codes: ReasonCode | ReasonCode[] = 'pop_invalid') =>
  breaks('pop', name, codes, popping(apply));
const right = (name: string, apply: Specify) => keeps('pop', name, popping(apply));

function turned<T>(items: readonly T[], by: number): T[] {
  return [...items.slice(by), ...items.slice(0, by)];
}

const SPECS: readonly Operator[] = [
  right('reorder_components', (pop, pick) => {
    pop.components = turned(pop.components, 1 + pick(pop.components.length - 1));
  }),
  right('reorder_parameters', (pop, pick) => {
    pop.order = turned(pop.order, 1 + pick(pop.order.length - 1));
  }),
  right('long_nonce', (pop, pick) => {
    pop.nonce = freshNonce().padEnd(26 + pick(63), '_-aZ9');
  }),
  right('created_within_the_window', (pop, pick) => {
    pop.created = NOW - 60 + pick(91);
  }),
  wrong(
    'stale_created',
    (pop, pick) => {
      pop.created = NOW - 61 - pick(1000);
    },
    'pop_stale',
  ),
  wrong(
    'created_ahead',
    (pop, pick) => {
      pop.created = NOW + 31 + pick(1000);
    },
    'pop_stale',
  ),
  wrong(
    'spent_nonce',
    (pop) => {
      pop.nonce = SPENT_NONCE;
    },
    'replay_detected',
  ),
  wrong('short_nonce', (pop, pick) => {
    pop.nonce = freshNonce().slice(0, pick(22));
  }),
  wrong('huge_nonce', (pop, pick) => {
    pop.nonce = freshNonce().padEnd(89 + pick(900), 'a');
  }),
  wrong('nonce_of_another_alphabet', (pop, pick) => {
    pop.nonce = `${freshNonce().slice(0, -1)}${[' ', '+', '/', '=', '.'][pick(5)]}`;
  }),
  wrong('key_of_the_PoP_itself', (pop) => {
    pop.signer = STRANGER;
  }),
  wrong("another_key_under_the_leaf's_id", (pop, _, { draft }) => {
    pop.keyid = draft.specs.at(-1)?.holder.id ?? null;
    pop.signer = STRANGER;
  }),
  wrong('leave_a_component_out', (pop, pick) => {
    const needed = pop.components.filter((name) => name !== 'content-digest');
    const left = needed[pick(needed.length)];
    pop.components = pop.components.filter((name) => name !== left);
  }),
  wrong('add_a_component', (pop, pick) => {
    pop.components = [...pop.components, ['x-other', '@scheme', '@target-uri', 'date'][pick(4)] ?? 'date'];
  }),
  wrong('component_in_another_case', (pop) => {
    pop.components = pop.components.map((name) => (name === '@path' ? '@Path' : name));
  }),
  wrong(
    'leave_the_digest_out',
    (pop) => {
      if (!pop.components.includes('content-digest')) return false;
      pop.components = pop.components.filter((name) => name !== 'content-digest');
    },
    'pop_body_mismatch',
  ),
  wrong(
    'digest_of_another_body',
    (pop) => {
      if (!pop.components.includes('content-digest')) return false;
      pop.digestOf = 'another';
    },
    'pop_body_mismatch',
  ),
  wrong('cover_a_digest_that_is_absent', (pop, _, { draft }) => {
    if (draft.text !== null) return false;
    pop.components = [...pop.components, 'content-digest'];
  }),
  wrong('leave_a_parameter_out', (pop, pick, { draft }) => {
    // Without its tag an RFC 9421 signature is somebody else's.
    const names = draft.form === 'rfc9421' ? pop.order.filter((name) => name !== 'tag') : pop.order;
    pop.without = [names[pick(names.length)] ?? 'nonce'];
  }),
  wrong('add_a_parameter', (pop, pick) => {
    pop.more.expires = String(NOW + pick(100));
  }),
  wrong('another_algorithm', (pop, pick) => {
    pop.more.alg = ['none', 'hmac-sha256', 'Ed25519', ''][pick(4)] ?? 'none';
  }),
  wrong(
    'another_tag',
    (pop) => {
      pop.more.tag = 'other';
    },
    ['pop_invalid', 'pop_required'],
  ),
  wrong('sign_another_method', (pop) => {
    pop.signed = { ...pop.signed, method: 'PATCH' };
  }),
  wrong('sign_another_host', (pop) => {
    pop.signed = { ...pop.signed, host: 'pay.example.com' };
  }),
  wrong('sign_another_path', (pop) => {
    pop.signed = { ...pop.signed, path: '/v1/documents/43' };
  }),
];

const inPop = (
  name: string,
  change: Parameters<typeof onText>[4],
  codes: ReasonCode | ReasonCode[] = 'pop_invalid',
) =>
  onText('popText', 'breaks', name, codes, (text, pick, stages) =>
    stages.draft.form === 'credential' ? null : change(text, pick, stages),
  );

const TEXTS: readonly Operator[] = [
  onText('popText', 'keeps', 'space_in_the_list', [], (text, pick, { draft }) =>
    draft.form === 'credential'
      ? null
      : text.replace(/\("/, `(${' '.repeat(1 + pick(3))}"`).replace(/" "/, '"  "'),
  ),
  onText('popText', 'keeps', 'space_after_the_semicolon', [], (text, pick, { draft }) =>
    draft.form === 'credential' ? null : text.replaceAll(/;(?=[a-z]+=)/g, `;${' '.repeat(1 + pick(3))}`),
  ),
  inPop('alter_created', (text, pick) =>
    text.replace(/created=(\d+)/, (_, n) => `created=${Number(n) + 1 + pick(20)}`),
  ),
  inPop('created_of_another_type', (text, pick) =>
    text.replace(/created=(\d+)/, ['created="$1"', 'created=$1.0', 'created', 'created=?1'][pick(4)] ?? ''),
  ),
  inPop('alter_nonce', (text) => text.replace(/nonce="(.)/, (_, c) => `nonce="${c === 'x' ? 'y' : 'x'}`)),
  inPop('flip_bit_of_the_PoP', (text, pick) =>
    text.replace(/=:([^:]*):/, (_, encoded: string) => {
      const bytes = fromBase64(encoded) ?? new Uint8Array(64);
      const bit = pick(bytes.length * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return `=:${toBase64(bytes)}:`;
    }),
  ),
  inPop('parameter_twice', (text) => text.replace(/;\s*alg="[^"]*"/, '$&;alg="ed25519"')),
  inPop('component_with_a_parameter', (text) => text.replace('"@query"', '"@query";req')),
  inPop('member_twice', (text, _, { draft }) => (draft.form === 'pop' ? `${text}, ${text}` : null)),
  inPop('third_member', (text, _, { draft }) => (draft.form === 'pop' ? `${text}, more=1` : null)),
  inPop('label_twice', (text, _, { draft }) =>
    draft.form === 'rfc9421' ? text.replace(/^(.*)\n/, '$1, $1\n') : null,
  ),
  inPop('signature_under_another_label', (text, _, { draft }) =>
    draft.form === 'rfc9421' ? text.replace('\nsig=', '\nother=') : null,
  ),
  inPop('cut_PoP', (text, pick, { draft }) =>
    draft.form === 'pop' ? text.slice(0, 1 + pick(text.length - 1)) : null,
  ),
];

export const POPS: readonly Operator[] = [...SPECS, ...TEXTS];
