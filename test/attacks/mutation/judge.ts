import { decide, type Pdp } from '../../../src/pdp/decide.ts';
import { isReasonCode, REASONS, type ReasonCode } from '../../../src/reason.ts';
import { toResponse } from '../../../src/request/envoy.ts';
import { CREDENTIAL_HEADERS } from '../../../src/request/strip.ts';
import type { CheckResponseMessage } from '../../../src/schema/check.ts';
import { checkMethod, loadProtos } from '../../../src/server/proto.ts';
import { asked } from '../../pdp/support.ts';
import { proxiedStatus, type Told, type Untold } from '../../support/forward-auth.ts';
import type { WireRequest } from '../../support/kit.ts';
import { encode } from '../../support/kit.ts';
import { randomOf } from '../../support/random.ts';
import { type Verdict, verdictOf } from '../../support/running.ts';
import {
  assemble,
  BASES,
  type Draft,
  draftOf,
  jsonOf,
  type Operator,
  popTextOf,
  type Stages,
  signLinks,
  wireOf,
} from './draft.ts';
import { BY_NAME } from './operators.ts';

/** A base by its number, and operators by name, each with a number that all its choices come from. */
export interface Case {
  readonly base: number;
  readonly steps: readonly { readonly operator: string; readonly seed: number }[];
}

/** A request, the operators that changed it, and what must come of it. */
export interface Mutant {
  readonly wire: WireRequest;
  readonly applied: readonly Operator[];
  readonly allowed: boolean;
}

const STAGES = ['draft', 'links', 'json', 'value', 'pop', 'popText', 'wire'] as const;

/** Applies the operators, each at its stage. */
export function mutantOf({ base, steps }: Case): Mutant {
  const kind = BASES[base];
  if (kind === undefined) throw new Error(`no base ${base}`);
  const order = [...BY_NAME.keys()];
  const chosen = steps
    .flatMap(({ operator, seed }) => {
      const found = BY_NAME.get(operator);
      return found === undefined ? [] : [{ operator: found, seed }];
    })
    .sort(
      (a, b) =>
        Number(a.operator.effect === 'breaks') - Number(b.operator.effect === 'breaks') ||
        order.indexOf(a.operator.name) - order.indexOf(b.operator.name),
    );
  const draft: Draft = draftOf(kind);
  const stages: Stages = { draft, links: [], json: '', value: '', popText: '' };
  const applied: Operator[] = [];
  for (const stage of STAGES) {
    if (stage === 'links') stages.links = structuredClone(signLinks(draft.specs)) as never;
    if (stage === 'json') stages.json = jsonOf(stages.links);
    if (stage === 'value') stages.value = encode(stages.json);
    if (stage === 'popText' && draft.form !== 'credential') stages.popText = popTextOf(draft, stages.value);
    if (stage === 'wire') assemble(stages);
    for (const { operator, seed } of chosen) {
      if (operator.stage === stage && operator.apply(stages, randomOf(seed))) applied.push(operator);
    }
  }
  return { wire: wireOf(draft), applied, allowed: applied.every(({ effect }) => effect === 'keeps') };
}

/** What the answer says, as a client of the gRPC port reads it; a message where it breaks the contract. */
export async function ask(pdp: Pdp, wire: WireRequest): Promise<Verdict> {
  const request = asked(wire);
  const decision = await decide(request, pdp);
  return verdictOf(codec(toResponse(decision, request)));
}

const method = checkMethod(loadProtos());

/** To the bytes of the gRPC port, and back. */
function codec(message: CheckResponseMessage): CheckResponseMessage {
  return method.responseDeserialize(method.responseSerialize(message)) as CheckResponseMessage;
}

/** What is wrong with an answer, or null. */
export function problemOf({ applied, allowed }: Mutant, answer: Verdict): string | null {
  const { verdict, http, grpc } = answer;
  const code = verdict === 'allow' ? 'allowed' : verdict;
  if (!isReasonCode(code)) return `no code of the registry: ${verdict}`;
  const status = REASONS[code];
  if (status.http !== http || status.grpc !== grpc) return `${code} with ${http} and ${grpc}`;
  const failed = failureIn(code, answer.decisionId);
  if (failed !== null) return failed;
  if (allowed !== (code === 'allowed')) return allowed ? `denied: ${code}` : 'WRONG ALLOW';
  if (allowed) return identityProblem(answer);
  const breaking = applied.filter(({ effect }) => effect === 'breaks');
  const [only] = breaking;
  return breaking.length === 1 &&
    only !== undefined &&
    !(only.codes as readonly ReasonCode[]).includes(code as ReasonCode)
    ? `${code}, and not ${only.codes.join(' or ')}`
    : null;
}

function failureIn(code: ReasonCode, decisionId: string): string | null {
  if (!/^dec_[A-Za-z0-9_-]{22}$/.test(decisionId)) return `the decision id ${decisionId}`;
  return code === 'internal_error' ? code : null;
}

/**
 * What is wrong with an answer over forward-auth, or null: it has the verdict of the gRPC port, where Lemma was told as
 * much; else it denies what that denies, unless the proxy sees to the difference itself.
 */
export function proxiedProblemOf(verdict: string, less: Untold | null, told: Told): string | null {
  const { status, code, decisionId } = told;
  const reason = code === 'allow' ? 'allowed' : code;
  if (reason === null || !isReasonCode(reason)) return `no code of the registry: ${reason} with ${status}`;
  if (status !== proxiedStatus(REASONS[reason].http)) return `${reason} with ${status}`;
  const failed = failureIn(reason, decisionId);
  const problem = failed ?? (code === 'allow' ? proxiedIdentityProblem(told) : null);
  if (problem !== null) return problem;
  if (less === null) return code === verdict ? null : `${verdict} over gRPC, and ${code}`;
  return code === 'allow' && verdict !== 'allow' && !less.seenTo ? `WRONG ALLOW, without ${less.what}` : null;
}

/** As `identityProblem`. Envoy is told what to take off; the other proxies copy credentials that the answer has. */
function proxiedIdentityProblem({ headers }: Told): string | null {
  const told = headers['x-lemma-runtime-id'];
  if (told !== 'bot-1') return `the upstream is told of ${told}`;
  const copied = CREDENTIAL_HEADERS.filter((name) => headers[name] !== undefined);
  return copied.length > 0 ? `${copied} goes on to the upstream` : null;
}

/** Who the upstream is told of is who was proven, and nothing that the client said stays. */
function identityProblem({ response }: Verdict): string | null {
  if (!('ok_response' in response)) return 'an allow without an ok_response';
  const { headers, headers_to_remove: removed = [] } = response.ok_response;
  const told = headers.find(({ header }) => header.key === 'x-lemma-runtime-id')?.header.value;
  if (told !== 'bot-1') return `the upstream is told of ${told}`;
  return removed.some((name) => name === 'x-lemma-credential' || name === 'x-lemma-proof')
    ? null
    : 'the credential goes on to the upstream';
}
