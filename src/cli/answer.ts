import { CliError } from './exit.ts';

/** What a control plane, or the local firewall, answers: a JSON object. */
export type Answer = Readonly<Record<string, unknown>>;

/** The body of an answer that says `success`. Throws CliError with its error's code, or `answer_invalid`. */
export function answerIn(
  body: unknown,
  { ok, status, from }: { readonly ok: boolean; readonly status: number; readonly from: string },
): Answer {
  if (!isAnswer(body)) throw new CliError('answer_invalid', `${from} answered ${status} with no JSON object`);
  if (ok && body.success === true) return body;
  const code = typeof body.error === 'string' ? body.error : 'answer_invalid';
  const message = typeof body.message === 'string' ? body.message : `refused with status ${status}`;
  throw new CliError(code, `${code}: ${message}`, undefined, { status, request_id: body.request_id ?? null });
}

function isAnswer(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A member of an answer by its names, or null. */
export function member(value: unknown, ...names: readonly string[]): unknown {
  return names.reduce<unknown>(
    (inner, name) =>
      typeof inner === 'object' && inner !== null && Object.hasOwn(inner, name)
        ? Reflect.get(inner, name)
        : null,
    value,
  );
}

/** For a table: text and numbers as they are, anything else as nothing. */
export function cell(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : '';
}
