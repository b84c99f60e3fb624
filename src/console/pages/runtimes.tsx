import { useState } from 'preact/hooks';
import { PROFILES } from '../../schema/common.ts';
import type { Paged, Runtime } from '../lib/answers.ts';
import { get } from '../lib/api.ts';
import { useQuery } from '../lib/query.ts';
import { Link, setParams, usePlace } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { SelectField, TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';

const REFRESH_MS = 10_000;
const LIMIT = 100;

export function RuntimesPage() {
  const { params } = usePlace();
  const { may } = useMe();
  const filters = {
    status: params.get('status'),
    profile: params.get('profile'),
    agent: params.get('agent'),
    workspace: params.get('workspace'),
    cursor: params.get('cursor'),
  };
  const filtered = Object.values(filters).some((value) => value !== null);
  const asked = useQuery(
    JSON.stringify(filters),
    (signal) =>
      get<{ readonly runtimes: readonly Runtime[] } & Paged>(
        '/api/wallet/runtimes',
        { ...filters, limit: LIMIT },
        signal,
      ),
    REFRESH_MS,
  );
  return (
    <Page
      title="Runtimes"
      about="Where agents run. Each is bound to a person's chain of proofs, and can be stopped here for every node at once."
      actions={
        may('runtimes.write') ? (
          <Link to="/connect" class="button primary">
            Connect a runtime
          </Link>
        ) : null
      }
    >
      <div class="stack">
        <RuntimeFilters key={JSON.stringify(filters)} params={params} />
        <div class="card">
          <Loaded asked={asked}>
            {({ runtimes, next_cursor }) =>
              runtimes.length === 0 ? (
                <Empty title={filtered ? 'No runtime matches' : 'No runtime yet'} icon="runtimes">
                  <p>
                    {filtered ? (
                      'Take a filter away.'
                    ) : (
                      <Link to="/connect">Connect the first one: it takes a minute.</Link>
                    )}
                  </p>
                </Empty>
              ) : (
                <>
                  <Table
                    label="Runtimes"
                    rows={runtimes}
                    keyOf={({ runtime_id }) => runtime_id}
                    columns={[
                      {
                        name: 'Runtime',
                        cell: ({ runtime_id }) => (
                          <Link to={`/runtimes/${encodeURIComponent(runtime_id)}`}>
                            <strong class="break">{runtime_id}</strong>
                          </Link>
                        ),
                      },
                      { name: 'Status', cell: (runtime) => <StatusBadge status={runtime.status} /> },
                      { name: 'Agent', cell: ({ agent_id }) => agent_id },
                      { name: 'Workspace', cell: ({ workspace_id }) => workspace_id },
                      { name: 'Profile', cell: ({ profile }) => <ProfileBadge profile={profile} /> },
                      {
                        name: 'Taint epoch',
                        right: true,
                        cell: ({ taint_epoch }) => <span class="num">{taint_epoch}</span>,
                      },
                      {
                        name: 'Registered',
                        right: true,
                        cell: ({ registered_at }) => <Time at={registered_at} form="relative" />,
                      },
                    ]}
                  />
                  {next_cursor === null && filters.cursor === null ? null : (
                    <div class="foot row">
                      {filters.cursor === null ? null : (
                        <Button onClick={() => setParams({ cursor: null })}>First page</Button>
                      )}
                      {next_cursor === null ? null : (
                        <Button onClick={() => setParams({ cursor: next_cursor })}>Next page</Button>
                      )}
                    </div>
                  )}
                </>
              )
            }
          </Loaded>
        </div>
      </div>
    </Page>
  );
}

export function StatusBadge({ status }: { readonly status: Runtime['status'] }) {
  switch (status) {
    case 'active':
      return <Badge tone="allow">active</Badge>;
    case 'inactive':
      return <Badge tone="warn">contained</Badge>;
    case 'killed':
      return <Badge tone="deny">killed</Badge>;
  }
}

export function ProfileBadge({ profile }: { readonly profile: Runtime['profile'] }) {
  return <Badge bare>{profile}</Badge>;
}

const STATUSES = [
  ['', 'Any status'],
  ['active', 'Active'],
  ['inactive', 'Contained'],
  ['killed', 'Killed'],
] as const;

function RuntimeFilters({ params }: { readonly params: URLSearchParams }) {
  const [agent, setAgent] = useState(params.get('agent') ?? '');
  const [workspace, setWorkspace] = useState(params.get('workspace') ?? '');
  const set = (changes: Record<string, string | null>) => setParams({ ...changes, cursor: null });
  return (
    <form
      class="filters card"
      aria-label="Filters"
      onSubmit={(event) => {
        event.preventDefault();
        set({ agent, workspace });
      }}
      onChange={() => set({ agent, workspace })}
    >
      <SelectField
        label="Status"
        value={params.get('status') ?? ''}
        options={STATUSES}
        onChange={(status) => set({ status })}
      />
      <SelectField
        label="Profile"
        value={params.get('profile') ?? ''}
        options={[['', 'Any profile'], ...PROFILES.map((name) => [name, name] as const)]}
        onChange={(profile) => set({ profile })}
      />
      <TextField label="Agent" type="search" value={agent} onInput={setAgent} />
      <TextField label="Workspace" type="search" value={workspace} onInput={setWorkspace} />
    </form>
  );
}
