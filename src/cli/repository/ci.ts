/**
 * What a change goes through before it is merged. The same commands run on a laptop: each reads `./policies`, and none needs
 * a control plane.
 */

const STEPS = {
  format: 'lemma policy fmt --diff',
  check: 'lemma policy check',
  test: 'lemma policy test --coverage --threshold 90 --junit build/junit.xml',
  build: 'lemma policy build --out build/bundles',
} as const;

/**
 * Fails on a request of the sample that was denied and would be allowed, which the report names by decision id, and on one of
 * which nothing is known. The bundles that decided are in `bundles/`, or the control plane's.
 */
const IMPACT = `if [ ! -f decisions.ndjson ]; then
  echo "No decisions.ndjson: nobody has looked at what this change does to requests (see README.md)"
  exit 0
fi
mkdir -p build
set -- --against decisions.ndjson --fail-on newly-allowed --fail-on not-comparable --markdown
if [ -d bundles ]; then set -- "$@" --bundles bundles; fi
if [ -n "\${LEMMA_BASE_URL:-}" ]; then set -- "$@" --api-base "$LEMMA_BASE_URL"; fi
lemma policy impact policies "$@" > build/impact.md`;

export function githubWorkflow(version: string): string {
  return `name: policy

on:
  pull_request:
  push:
    branches: [main]

permissions:
  contents: read
  pull-requests: write

jobs:
  policy:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-node@v5
        with:
          node-version: 24
      - name: Install
        run: npm install --global --ignore-scripts lemma-authz@${version}
      - name: Format
        run: ${STEPS.format}
      - name: Check
        run: ${STEPS.check}
      - name: Test
        run: |
          mkdir -p build
          ${STEPS.test}
      - name: Build
        run: ${STEPS.build}
      - name: Impact
        env:
          LEMMA_BASE_URL: \${{ vars.LEMMA_BASE_URL }}
          LEMMA_API_KEY: \${{ secrets.LEMMA_API_KEY }}
        run: |
${indented(IMPACT, 10)}
      - name: Comment
        if: \${{ !cancelled() && github.event_name == 'pull_request' && hashFiles('build/impact.md') != '' }}
        env:
          GH_TOKEN: \${{ github.token }}
          PULL_REQUEST: \${{ github.event.pull_request.html_url }}
        run: |
          cat build/impact.md >> "$GITHUB_STEP_SUMMARY"
          gh pr comment "$PULL_REQUEST" --body-file build/impact.md --edit-last --create-if-none
`;
}

export function gitlabPipeline(version: string): string {
  return `policy:
  image: node:24
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  before_script:
    - npm install --global --ignore-scripts lemma-authz@${version}
  script:
    - ${STEPS.format}
    - ${STEPS.check}
    - mkdir -p build
    - ${STEPS.test}
    - ${STEPS.build}
    - |
${indented(IMPACT, 6)}
  artifacts:
    when: always
    paths: [build/]
    reports:
      junit: build/junit.xml
`;
}

function indented(text: string, by: number): string {
  return text.replaceAll(/^/gm, ' '.repeat(by));
}
