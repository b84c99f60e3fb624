export const README = `# Policies

What an agent may do is decided here. Lemma establishes facts (\`input\`) and hard stops; these policies say allow or deny.

| where | what |
|---|---|
| \`policies/low\`, \`high\`, \`critical\` | a profile each: rules, thresholds (\`data.json\`), conduct (\`.manifest\`), tests |
| \`policies/lib\` | what the profiles share |
| \`schemas/\` | the input that a policy reads, and the result that it gives |
| \`capabilities.json\` | the built-ins that a policy may call |
| \`decisions.ndjson\` | decisions of the running service, on which a change is tried; yours to add |
| \`bundles/\` | the bundles that made them, where the pipeline cannot ask the control plane; yours to add |

## Work

\`\`\`sh
git config core.hooksPath .githooks   # once: a commit is checked and tested
lemma policy fmt --write
lemma policy check
lemma policy test --coverage
\`\`\`

Change data before you change rules. A rule of your own denies with a code that begins with \`x_\`:

\`\`\`rego
deny contains "x_no_deleting" if input.request.method == "DELETE"
\`\`\`

Each rule needs a test in \`*_test.rego\`; \`lemma policy check\` names those that have none. Stock OPA works here too:

\`\`\`sh
opa test policies
opa check --strict --schema schemas/input.json policies
\`\`\`

\`lemma policy init --force .\` after an update of Lemma adds what is missing and keeps the rest. The schemas are written anew by
\`lemma policy schema > schemas/input.json\` and \`lemma policy schema --result > schemas/result.json\`.

## What a change would do

\`\`\`sh
lemma decisions export --records-only --out decisions.ndjson
lemma policy impact policies --against decisions.ndjson --fail-on newly-allowed
\`\`\`

Each recorded request is decided again, first by the bundle that decided it and then by what lies here. The bundles of Lemma's own defaults are
known; others are looked for in \`bundles/\` (\`lemma policy impact … --bundles bundles\`), or asked of the control plane where the pipeline has
\`LEMMA_BASE_URL\` and \`LEMMA_API_KEY\` (\`--api-base\`). What was denied and would be allowed is
named by decision id, and fails the pipeline. The sample holds what policies saw: no credentials, but hosts, paths and ids. Export one again when the
traffic has changed.

## To production and back

\`bundles.source\` of the service names this repository, and a branch:

\`\`\`yaml
bundles:
  source: git+https://git.example.com/acme/policies.git#main
\`\`\`

A commit on it is checked, tested, built and signed by the service, then put into force. One whose check or tests fail never is:
\`lemma policy history\` says why. To take a change back, \`git revert\` it; \`lemma policy rollback <profile>\` is at once, and lasts until
the next commit. A branch that is moved back by force is refused.

Without that, build and publish:

\`\`\`sh
lemma policy build --out build/bundles --sign-key bundle.key --serial 100
lemma policy publish build/bundles --tests policies --activate
\`\`\`
`;
