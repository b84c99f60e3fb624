import type { Policies } from '../authority/policies.ts';
import type { TestedRevision } from '../authority/revisions.ts';
import { regoIn } from '../policy/bundle.ts';
import { isTestFile } from '../policy/policy-files.ts';
import { InputError } from '../reason.ts';
import { type PolicyParams, policyParamsSchema } from '../schema/api-impact.ts';
import { type TestPolicyBody, testPolicySchema } from '../schema/api-policy-tests.ts';
import { SHA256_HEX_PATTERN } from '../schema/bundle.ts';
import { answerOf, time } from './answers.ts';
import type { OperatorHandler } from './guard.ts';
import { reader } from './read.ts';
import { timeText } from './time.ts';

const readParams = reader<PolicyParams>(policyParamsSchema);
const readTests = reader<TestPolicyBody>(testPolicySchema);

/** The verbs on the tests of kept bundles. */
export function policyTestHandlers(
  policies: Pick<Policies, 'test' | 'tested'>,
): Record<'testPolicy' | 'policyTests', OperatorHandler> {
  return {
    async testPolicy(operator, request) {
      const { sha256 } = readParams(request.params);
      const tests = new Map(
        Object.entries(readTests(request.body).tests).map(([path, text]) => [plain(path), String(text)]),
      );
      return { success: true, tests: testsJson(await policies.test(sha256, tests, { by: operator.id })) };
    },
    async policyTests(_operator, request) {
      const { bundle, tests } = await policies.tested(readParams(request.params).sha256);
      const { name, revision, serial, sha256, files } = bundle;
      const rego = [...regoIn(files)].filter(([path]) => !isTestFile(path));
      return {
        success: true,
        bundle: { name, revision, serial, sha256 },
        tests: tests === null ? null : testsJson(tests),
        rego: Object.fromEntries(rego),
      };
    },
  };
}

function testsJson({ at, ...tests }: TestedRevision): object {
  return { ...tests, at: timeText(at) };
}

/** For a list of many: which tests failed and which rows none reaches are told of one alone. */
export function testsSummary({ at, failures: _, coverage, ...tests }: TestedRevision): object {
  const files = coverage.files.map(({ file, percent }) => ({ file, percent }));
  return { ...tests, coverage: { percent: coverage.percent, files }, at: timeText(at) };
}

function plain(path: string): string {
  if (path.split('/').every((part) => part !== '.' && part !== '..')) return path;
  throw new InputError([{ field: `tests.${path}`, message: 'has a dot segment; name it by its plain path' }]);
}

const count = { type: 'integer', minimum: 0 } as const;
const percent = { type: 'number', minimum: 0, maximum: 100 } as const;

const summary = {
  passed: count,
  failed: count,
  skipped: count,
  at: time,
  by: { type: 'string', description: 'Who gave the tests; `service`: the commit brought them' },
  commit: { type: ['string', 'null'], description: 'Of `bundles.source`, by which they came' },
  tests_sha256: { type: 'string', pattern: SHA256_HEX_PATTERN, description: 'Of the tests that were run' },
} as const;

const coveredFile = { file: { type: 'string', description: 'As the bundle has it' }, percent } as const;

function coverageOf<const P extends Record<string, object>>(file: P) {
  return {
    type: 'object',
    required: ['percent', 'files'],
    properties: {
      percent,
      files: { type: 'array', items: { type: 'object', required: Object.keys(file), properties: file } },
    },
    description: "Of the rows of the bundle's Rego that can be evaluated",
  } as const;
}

/** Of one among many. */
export const revisionTests = {
  type: ['object', 'null'],
  required: [...Object.keys(summary), 'coverage'],
  properties: { ...summary, coverage: coverageOf(coveredFile) },
  description: 'What the latest run of its tests came to, here; null: not known',
} as const;

const wholeTests = {
  ...revisionTests,
  required: [...revisionTests.required, 'failures'],
  properties: {
    ...summary,
    failures: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'file', 'row', 'outcome', 'detail'],
        properties: {
          name: { type: 'string' },
          file: { type: 'string', description: 'As its author has it' },
          row: { type: 'integer' },
          outcome: { enum: ['fail', 'error'] },
          detail: { type: 'string' },
        },
      },
      description: 'The first 20',
    },
    coverage: coverageOf({
      ...coveredFile,
      not_covered: {
        type: 'array',
        items: {
          type: 'object',
          required: ['from', 'to'],
          properties: { from: { type: 'integer' }, to: { type: 'integer' } },
        },
        description: 'Rows from 1',
      },
    }),
  },
} as const;

export const testedPolicy = answerOf({ tests: wholeTests });
export const policyTests = answerOf({
  bundle: { type: 'object', required: ['name', 'revision', 'serial', 'sha256'] },
  tests: wholeTests,
  rego: { type: 'object', additionalProperties: { type: 'string' }, description: "The bundle's, by path" },
});
