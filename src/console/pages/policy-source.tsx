import type { PolicySource } from '../lib/answers.ts';
import { Badge } from '../ui/badge.tsx';
import { Card } from '../ui/card.tsx';
import { Facts } from '../ui/facts.tsx';
import { Notice } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';

const COMMIT_SHOWN = 12;

/** The repository that policies come from, and the commits of it that never came into force. */
export function SourceCard({ source: { source, accepted, behind, failing, rejected } }: SourceCardProps) {
  return (
    <Card
      title="Source"
      side={behind ? <Badge tone="warn">behind its branch</Badge> : <Badge tone="allow">up to date</Badge>}
    >
      <div class="stack">
        {failing === null ? null : (
          <Notice tone="deny">
            <span>
              It cannot be read since <Time at={failing.since} />: {failing.message}
            </span>
          </Notice>
        )}
        <Facts
          rows={[
            [
              'Repository',
              <code key="source" class="break">
                {source}
              </code>,
            ],
            [
              'In force',
              accepted === null ? (
                'no commit of it yet'
              ) : (
                <span key="accepted" class="break">
                  <code>{accepted.commit.slice(0, COMMIT_SHOWN)}</code> {accepted.subject}, by{' '}
                  {accepted.author}, <Time at={accepted.at} />
                </span>
              ),
            ],
          ]}
        />
        {rejected.length === 0 ? null : (
          <Table
            label="Rejected commits"
            rows={rejected}
            keyOf={({ commit }) => commit}
            columns={[
              {
                name: 'Rejected commit',
                cell: ({ commit }) => <code title={commit}>{commit.slice(0, COMMIT_SHOWN)}</code>,
              },
              {
                name: 'What',
                cell: ({ subject, author }) => (
                  <span class="break">
                    {subject}
                    <span class="small soft block">{author}</span>
                  </span>
                ),
              },
              { name: 'When', cell: ({ at }) => <Time at={at} /> },
              {
                name: 'Why',
                cell: ({ code, message }) => (
                  <span class="break">
                    <code class="reason">{code}</code>
                    {message.split('\n').map((line, n) => (
                      <span key={`${n} ${line}`} class="small block">
                        {line}
                      </span>
                    ))}
                  </span>
                ),
              },
            ]}
          />
        )}
      </div>
    </Card>
  );
}

interface SourceCardProps {
  readonly source: PolicySource;
}
