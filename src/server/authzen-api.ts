import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Operator } from '../authority/operators.ts';
import { Refusal } from '../authority/refusal.ts';
import { InputError } from '../reason.ts';
import { type EvaluationAnswer, toRequest, toResponse } from '../request/authzen.ts';
import type { RouteMap } from '../request/route-map.ts';
import {
  type EvaluationBody,
  type EvaluationsBody,
  evaluationSchema,
  evaluationsSchema,
  type Semantic,
} from '../schema/api-authzen.ts';
import { authorityOf, isOrigin } from '../schema/origin.ts';
import type { AsserterOf } from '../schema/request.ts';
import { CONTROL_BODY_LIMIT, type Decide, seenBy } from './decide-routes.ts';
import { OPERATIONS } from './operations.ts';
import { reader } from './read.ts';
import { peerOf } from './tls.ts';

export interface Authzen {
  /** The running route map. */
  readonly routes: () => RouteMap;
  /** Whose keys may assert subjects (`subjects.assert`); null: nobody's. */
  readonly authenticate: ((key: string) => Promise<Operator | null>) | null;
}

const readEvaluation = reader<EvaluationBody>(evaluationSchema);
const readEvaluations = reader<EvaluationsBody>(evaluationsSchema);

/** A client's own id comes back to it, and goes nowhere else. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** OpenID AuthZEN 1.0: `evaluation`, `evaluations` and the metadata. Every answer is a decision like any other. */
export function addAuthzen(app: FastifyInstance, decide: Decide, { routes, authenticate }: Authzen): void {
  const evaluate = async (request: FastifyRequest, body: EvaluationBody, asserter: AsserterOf | null) => {
    const source = { address: request.ip, principal: '' };
    const asked = seenBy(request, toRequest(body, { routes: routes(), asserter, source }));
    return toResponse(await decide(asked));
  };
  const route = (url: string, answer: (request: FastifyRequest, asserter: AsserterOf | null) => unknown) =>
    app.route({
      method: 'POST',
      url,
      bodyLimit: CONTROL_BODY_LIMIT,
      onRequest: async (request, reply) => echoId(request, reply),
      handler: async (request) => answer(request, await asserterOf(request, authenticate)),
    });

  route(OPERATIONS.evaluation.path, (request, asserter) =>
    evaluate(request, readEvaluation(request.body), asserter),
  );
  route(OPERATIONS.evaluations.path, async (request, asserter) => {
    const { evaluations = [], options, ...defaults } = readEvaluations(request.body);
    if (evaluations.length === 0) return evaluate(request, readEvaluation(defaults), asserter);
    const one = (item: object) =>
      evaluateOne({ ...defaults, ...item }, (body) => evaluate(request, body, asserter));
    const semantic = options?.evaluations_semantic ?? 'execute_all';
    return { evaluations: await evaluateAll(evaluations, semantic, one) };
  });
  app.get(OPERATIONS.authzenConfiguration.path, async (request, reply) => {
    echoId(request, reply);
    return metadataOf(request);
  });
}

function echoId(request: FastifyRequest, reply: FastifyReply): void {
  const id = request.headers['x-request-id'];
  if (typeof id === 'string' && REQUEST_ID.test(id)) reply.header('x-request-id', id);
}

/** What is wrong with one of several is said in its place: the others are answered. */
async function evaluateOne(
  item: object,
  evaluate: (body: EvaluationBody) => Promise<EvaluationAnswer>,
): Promise<EvaluationAnswer> {
  try {
    return await evaluate(readEvaluation(item));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { decision: false, context: { error: { status: 400, message: error.message } } };
  }
}

async function evaluateAll(
  items: readonly object[],
  semantic: Semantic,
  evaluate: (item: object) => Promise<EvaluationAnswer>,
): Promise<EvaluationAnswer[]> {
  if (semantic === 'execute_all') return Promise.all(items.map(evaluate));
  const last = semantic === 'permit_on_first_permit';
  const answers: EvaluationAnswer[] = [];
  for (const item of items) {
    const answer = await evaluate(item);
    answers.push(answer);
    if (answer.decision === last) break;
  }
  return answers;
}

/**
 * An enforcement point that shows a certificate, or a key with `subjects.assert`, may say who the subject is; a key speaks
 * for its own organisation alone. Throws Refusal for a key that is none.
 */
async function asserterOf(
  request: FastifyRequest,
  authenticate: Authzen['authenticate'],
): Promise<AsserterOf | null> {
  const peer = peerOf(request.raw.socket);
  if (peer !== null) return { by: peer, tenant: null };
  const { authorization, 'x-api-key': given } = request.headers;
  const key = typeof given === 'string' ? given : /^Bearer +([\w-]+) *$/i.exec(authorization ?? '')?.[1];
  if (key === undefined) return null;
  const operator = authenticate === null ? null : await authenticate(key);
  if (operator === null) throw new Refusal('auth_required', 'this is no API key of this deployment');
  const { id, org, env } = operator;
  return operator.may.has('subjects.assert') ? { by: id, tenant: { org, env } } : null;
}

/** The identifier is the origin that the client itself has asked, which it compares. */
function metadataOf(request: FastifyRequest): object {
  const origin = `${request.protocol}://${authorityOf(request.protocol, request.host)}`;
  if (!isOrigin(origin))
    throw new InputError([
      { field: 'host', message: 'must be a host name in its normal form, with the port if any' },
    ]);
  return {
    policy_decision_point: origin,
    access_evaluation_endpoint: origin + OPERATIONS.evaluation.path,
    access_evaluations_endpoint: origin + OPERATIONS.evaluations.path,
  };
}
