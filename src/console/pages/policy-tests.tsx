import type { CoveredFile } from '../../schema/revision-tests.ts';
import type { PolicyTests, TestedPolicy, TestsSummary } from '../lib/answers.ts';
import { get } from '../lib/api.ts';
import { shortDigest } from '../lib/format.ts';
import { useQuery } from '../lib/query.ts';
import { Link, usePlace } from '../lib/router.tsx';
import { Badge } from '../ui/badge.tsx';
import { Card } from '../ui/card.tsx';
import { Facts } from '../ui/facts.tsx';
import { Lines } from '../ui/lines.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded } from '../ui/states.tsx';
import { Time } from '../ui/time.tsx';

/** In a table's cell. What is not known is not green. */
export function TestsBadge({ tests }: { readonly tests: TestsSummary | null }) {
  if (tests === null) return <span class="soft">not known</span>;
  const { passed, failed, coverage } = tests;
  return (
    <>
      <Badge tone={failed > 0 ? 'deny' : 'allow'}>
        {failed > 0 ? `${failed} failed` : `${passed} passed`}
      </Badge>
      <span class="small soft num block">{coverage.percent} % covered</span>
    </>
  );
}

/** What the tests of a revision came to, and which of its lines none of them reaches. */
export function PolicyTestsPage() {
  const { params } = usePlace();
  const sha256 = params.get('sha256') ?? '';
  const asked = useQuery(sha256, (signal) =>
    get<TestedPolicy>(`/api/wallet/policies/${encodeURIComponent(sha256)}/tests`, {}, signal),
  );
  return (
    <Page
      title={`Tests of ${asked.data?.bundle.revision ?? shortDigest(sha256)}`}
      crumb={<Link to="/policies">Policies</Link>}
      about="Run by the service against the revision's own Rego and data: nobody can claim what they came to."
    >
      <Loaded asked={asked}>
        {({ tests, rego }) =>
          tests === null ? (
            <div class="card">
              <Empty title="Its tests are not known" icon="policies">
                <p>
                  A bundle holds no tests. Hand them over with it:{' '}
                  <code>lemma policy publish &lt;bundle&gt; --tests policies</code>
                </p>
              </Empty>
            </div>
          ) : (
            <Told tests={tests} rego={rego} />
          )
        }
      </Loaded>
    </Page>
  );
}

function Told({ tests, rego }: { readonly tests: PolicyTests } & Pick<TestedPolicy, 'rego'>) {
  const { passed, failed, skipped, failures, coverage, at, by, commit, tests_sha256: digest } = tests;
  return (
    <div class="stack loose">
      <Card title="The latest run">
        <Facts
          rows={[
            ['Passed', <strong key="passed">{passed}</strong>],
            [
              'Failed',
              failed === 0 ? (
                '0'
              ) : (
                <Badge key="failed" tone="deny">
                  {failed}
                </Badge>
              ),
            ],
            ['Skipped', String(skipped)],
            ['Covered', `${coverage.percent} % of its lines`],
            ['When', <Time key="at" at={at} />],
            ['Tests given by', by === 'service' ? 'the commit, which was built here' : by],
            ['Commit', commit === null ? null : <code key="commit">{commit.slice(0, 12)}</code>],
            [
              'Digest of the tests',
              <code key="digest" title={digest}>
                {shortDigest(digest)}
              </code>,
            ],
          ]}
        />
      </Card>
      {failures.length === 0 ? null : (
        <Card title="Failed">
          <ul class="stack" aria-label="Failed tests">
            {failures.map(({ name, file, row, outcome, detail }) => (
              <li key={`${file} ${row} ${name}`} class="stack tight">
                <span class="row">
                  <Badge tone="deny">{outcome}</Badge>
                  <code class="break">{name}</code>
                  <code class="small soft break">
                    {file}:{row}
                  </code>
                </span>
                {detail === '' ? null : <pre class="small break">{detail}</pre>}
              </li>
            ))}
          </ul>
        </Card>
      )}
      <Card title="Lines that no test reaches">
        <ol class="traced" aria-label="Coverage by file">
          {coverage.files.map((file) => (
            <li key={file.file}>
              <File file={file} text={rego[file.file]} />
            </li>
          ))}
        </ol>
      </Card>
    </div>
  );
}

function File({
  file: { file, percent, not_covered },
  text,
}: {
  readonly file: CoveredFile;
  readonly text: string | undefined;
}) {
  const missed = new Set(not_covered.flatMap(({ from, to }) => rowsIn(from, to)));
  return (
    <details open={missed.size > 0}>
      <summary>
        <Badge tone={missed.size === 0 ? 'allow' : 'warn'}>{percent} %</Badge>
        <code class="break">{file}</code>
        <span class="small soft push">
          {missed.size === 0 ? 'all lines are reached' : `${missed.size} not reached`}
        </span>
      </summary>
      {text === undefined ? null : (
        <Lines text={text} from={1} hits={missed} label={`${file}, lines that no test reaches stand out`} />
      )}
    </details>
  );
}

function rowsIn(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, n) => from + n);
}
