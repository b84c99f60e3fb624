import { useState } from 'preact/hooks';
import type { Paged, SessionItem } from '../lib/answers.ts';
import { get, post } from '../lib/api.ts';
import { useQuery } from '../lib/query.ts';
import { usePlace } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Confirm } from '../ui/confirm.tsx';
import { Page } from '../ui/page.tsx';
import { Pager } from '../ui/pager.tsx';
import { Empty, Loaded } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';

export function SessionsPage() {
  const { params } = usePlace();
  const { operator, session, may } = useMe();
  const cursor = params.get('cursor');
  const [ending, setEnding] = useState<SessionItem | null>(null);
  const asked = useQuery(`sessions ${cursor}`, (signal) =>
    get<{ readonly sessions: readonly SessionItem[] } & Paged>('/api/wallet/sessions', { cursor }, signal),
  );
  const mayEnd = (one: SessionItem) =>
    one.id !== session?.id && (one.operator_id === operator.id || may('operators.write'));
  return (
    <Page
      title="Sessions"
      about="Browsers that are signed in. Each ends by itself: 30 minutes unused, 12 hours at most."
    >
      <div class="card">
        <Loaded asked={asked}>
          {({ sessions, next_cursor }) =>
            sessions.length === 0 ? (
              <Empty title="No session here" icon="sessions" />
            ) : (
              <>
                <Table
                  label="Sessions"
                  rows={sessions}
                  keyOf={({ id }) => id}
                  columns={[
                    {
                      name: 'Operator',
                      cell: (one) => (
                        <span class="row">
                          <strong class="break">{one.operator_id}</strong>
                          {one.id === session?.id ? <Badge tone="accent">this one</Badge> : null}
                        </span>
                      ),
                    },
                    { name: 'From', cell: ({ client }) => <code>{client.address}</code> },
                    {
                      name: 'Browser',
                      cell: ({ client }) => (
                        <span class="clip" title={client.agent}>
                          {client.agent}
                        </span>
                      ),
                    },
                    { name: 'Seen', cell: ({ seen_at }) => <Time at={seen_at} form="relative" /> },
                    { name: 'Ends', cell: ({ expires_at }) => <Time at={expires_at} form="relative" /> },
                    {
                      name: '',
                      right: true,
                      cell: (one) =>
                        mayEnd(one) ? (
                          <Button kind="danger" onClick={() => setEnding(one)}>
                            End
                          </Button>
                        ) : null,
                    },
                  ]}
                />
                <Pager cursor={cursor} next={next_cursor} />
              </>
            )
          }
        </Loaded>
      </div>
      {ending === null ? null : (
        <Confirm
          title="End this session?"
          act="End it"
          done="The session is ended"
          onClose={() => {
            setEnding(null);
            asked.reload();
          }}
          run={() => post(`/api/wallet/sessions/${ending.id}/revoke`)}
        >
          <p>
            {ending.operator_id} at {ending.client.address} has to sign in again.
          </p>
        </Confirm>
      )}
    </Page>
  );
}
