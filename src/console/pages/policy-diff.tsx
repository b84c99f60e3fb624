import type { FileDiff, PolicyDiff } from '../lib/answers.ts';
import { get } from '../lib/api.ts';
import { shortDigest } from '../lib/format.ts';
import { useQuery } from '../lib/query.ts';
import { Link, usePlace } from '../lib/router.tsx';
import { Badge } from '../ui/badge.tsx';
import { Card } from '../ui/card.tsx';
import { Facts } from '../ui/facts.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded, Notice } from '../ui/states.tsx';

export function PolicyDiffPage() {
  const { params } = usePlace();
  const from = params.get('from') ?? '';
  const to = params.get('to') ?? '';
  const asked = useQuery(`${from} ${to}`, (signal) =>
    get<PolicyDiff>('/api/wallet/policies/diff', { from, to }, signal),
  );
  return (
    <Page
      title="What changes"
      crumb={<Link to="/policies">Policies</Link>}
      about={
        <>
          From <code>{shortDigest(from)}</code> to <code>{shortDigest(to)}</code>
        </>
      }
    >
      <Loaded asked={asked}>
        {({ rego, data, capabilities, module_equal }) => (
          <div class="stack loose">
            {capabilities.length === 0 ? null : (
              <Card title="What it asks of the service">
                <Facts
                  rows={capabilities.map((one) => [
                    <code key={one.member}>{one.member}</code>,
                    <code key={one.member}>{`${JSON.stringify(one.from)} → ${JSON.stringify(one.to)}`}</code>,
                  ])}
                />
              </Card>
            )}
            {module_equal ? (
              <Notice tone="allow">
                <span>The compiled module is the same: no decision differs but by data.</span>
              </Notice>
            ) : null}
            <Files title="Rego" files={rego} />
            <Files title="Data" files={data} />
          </div>
        )}
      </Loaded>
    </Page>
  );
}

const TONES = { added: 'allow', removed: 'deny', changed: 'warn' } as const;

function Files({ title, files }: { readonly title: string; readonly files: readonly FileDiff[] }) {
  return (
    <Card title={title} side={<span class="soft small">{files.length} files differ</span>}>
      {files.length === 0 ? (
        <Empty title={`${title} is the same`} icon="check" />
      ) : (
        <div class="stack">
          {files.map(({ path, change, lines }) => (
            <div key={path} class="stack tight">
              <div class="row">
                <code class="break">{path}</code>
                <Badge tone={TONES[change]} bare>
                  {change}
                </Badge>
              </div>
              {lines === null ? (
                <p class="soft small">Too much to show here: `lemma policy diff` has it all.</p>
              ) : (
                <div class="code">
                  {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
                  <section class="pane" tabIndex={0} aria-label={path}>
                    <pre>
                      {lines.map((line, n) => (
                        <span key={`${n} ${line}`} class={`line ${KINDS[line[0] ?? ''] ?? ''}`}>
                          {line}
                        </span>
                      ))}
                    </pre>
                  </section>
                </div>
              )}
            </div>
          ))}
        </div>
      )}
    </Card>
  );
}

const KINDS: Readonly<Record<string, string>> = { '+': 'plus', '-': 'minus', '@': 'soft' };
