import type { AuditEntry, Paged } from '../lib/answers.ts';
import { get } from '../lib/api.ts';
import { useQuery } from '../lib/query.ts';
import { usePlace } from '../lib/router.tsx';
import { Badge } from '../ui/badge.tsx';
import { Page } from '../ui/page.tsx';
import { Pager } from '../ui/pager.tsx';
import { Empty, Loaded } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';

export function AuditPage() {
  const { params } = usePlace();
  const cursor = params.get('cursor');
  const asked = useQuery(`audit ${cursor}`, (signal) =>
    get<{ readonly entries: readonly AuditEntry[] } & Paged>('/api/wallet/audit', { cursor }, signal),
  );
  return (
    <Page title="Audit trail" about="What operators did, or were refused. The latest first.">
      <div class="card">
        <Loaded asked={asked}>
          {({ entries, next_cursor }) =>
            entries.length === 0 ? (
              <Empty title="Nothing yet" icon="audit">
                <p>Whatever an operator changes is listed here, with who did it and how it ended.</p>
              </Empty>
            ) : (
              <>
                <Table
                  label="Audit trail"
                  rows={entries}
                  keyOf={({ id }) => id}
                  columns={[
                    { name: 'When', cell: ({ time }) => <Time at={time} /> },
                    {
                      name: 'Who',
                      cell: ({ who }) => (
                        <span>
                          <strong class="break">{who.operator_id}</strong>{' '}
                          <span class="soft small">by {who.by.kind.replaceAll('_', ' ')}</span>
                        </span>
                      ),
                    },
                    { name: 'What', cell: ({ what }) => <code>{what}</code> },
                    {
                      name: 'On',
                      cell: ({ target }) =>
                        target === null ? <span class="soft">–</span> : <code class="break">{target}</code>,
                    },
                    {
                      name: 'Outcome',
                      cell: ({ outcome }) => (
                        <Badge tone={outcome === 'done' ? 'allow' : 'deny'}>{outcome}</Badge>
                      ),
                    },
                    {
                      name: 'Request',
                      cell: ({ request_id }) => <code class="soft small">{request_id}</code>,
                    },
                  ]}
                />
                <Pager cursor={cursor} next={next_cursor} />
              </>
            )
          }
        </Loaded>
      </div>
    </Page>
  );
}
