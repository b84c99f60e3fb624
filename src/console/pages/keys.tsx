import { useState } from 'preact/hooks';
import type { Permission } from '../../schema/access.ts';
import { API_KEY_DAYS } from '../../schema/api-access.ts';
import type { ApiKeyItem, Paged } from '../lib/answers.ts';
import { get, post } from '../lib/api.ts';
import { useDoing, useQuery } from '../lib/query.ts';
import { Link, usePlace } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Code } from '../ui/code.tsx';
import { Confirm } from '../ui/confirm.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { CheckField, TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Pager } from '../ui/pager.tsx';
import { Empty, Loaded, Notice, Problem } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';

const KEYS = '/api/wallet/api-keys';

export function KeysPage() {
  const { params } = usePlace();
  const { may, operator: self } = useMe();
  const cursor = params.get('cursor');
  const [making, setMaking] = useState(false);
  const [ending, setEnding] = useState<ApiKeyItem | null>(null);
  const asked = useQuery(`keys ${cursor}`, (signal) =>
    get<{ readonly api_keys: readonly ApiKeyItem[] } & Paged>(KEYS, { cursor }, signal),
  );
  return (
    <Page
      title="API keys"
      about="For programs: keys that operators made, and tokens of command lines that signed in by a code."
      actions={
        may('api_keys.write') ? (
          <Button kind="primary" onClick={() => setMaking(true)}>
            New API key
          </Button>
        ) : null
      }
    >
      <div class="card">
        <Loaded asked={asked}>
          {({ api_keys, next_cursor }) =>
            api_keys.length === 0 ? (
              <Empty title="No key yet" icon="keys">
                <p>
                  A key has some of its maker's permissions, and loses with them what they lose.{' '}
                  {may('api_keys.write') ? 'Make one for a program that nobody signs in for; ' : null}a
                  command line <Link to="/connect">signs in by a code</Link>.
                </p>
              </Empty>
            ) : (
              <>
                <Table
                  label="API keys"
                  rows={api_keys}
                  keyOf={({ id }) => id}
                  columns={[
                    {
                      name: 'Name',
                      cell: ({ name, prefix }) => (
                        <span>
                          <strong class="break">{name}</strong> <code class="soft small">{prefix}…</code>
                        </span>
                      ),
                    },
                    {
                      name: 'Kind',
                      cell: ({ kind }) => (
                        <Badge bare>{kind === 'device' ? 'command line' : 'API key'}</Badge>
                      ),
                    },
                    { name: 'Of', cell: ({ operator_id }) => operator_id },
                    {
                      name: 'May',
                      cell: ({ permissions }) => (
                        <span title={permissions.join('\n')}>
                          {permissions.length === 1 ? permissions[0] : `${permissions.length} permissions`}
                        </span>
                      ),
                    },
                    {
                      name: 'Last used',
                      cell: ({ last_used_at }) =>
                        last_used_at === null ? (
                          <span class="soft">never</span>
                        ) : (
                          <Time at={last_used_at} form="relative" />
                        ),
                    },
                    { name: 'Ends', cell: ({ expires_at }) => <Time at={expires_at} form="relative" /> },
                    ...(may('api_keys.write')
                      ? [
                          {
                            name: '',
                            right: true,
                            cell: (key: ApiKeyItem) =>
                              key.operator_id !== self.id && !may('operators.write') ? null : (
                                <Button kind="danger" onClick={() => setEnding(key)}>
                                  Revoke
                                </Button>
                              ),
                          },
                        ]
                      : []),
                  ]}
                />
                <Pager cursor={cursor} next={next_cursor} />
              </>
            )
          }
        </Loaded>
      </div>
      {making ? (
        <NewKey
          onClose={() => {
            setMaking(false);
            asked.reload();
          }}
        />
      ) : null}
      {ending === null ? null : (
        <Confirm
          title={`Revoke ${ending.name}?`}
          act="Revoke it"
          done={`${ending.name} is revoked`}
          onClose={() => {
            setEnding(null);
            asked.reload();
          }}
          run={() => post(`${KEYS}/${ending.id}/revoke`)}
        >
          <p>Whatever uses it is refused from now on.</p>
        </Confirm>
      )}
    </Page>
  );
}

/** What no key may have (the server refuses it): it would make more of its kind. */
const NEVER: readonly Permission[] = ['operators.write', 'api_keys.write', 'platform.operators'];

function NewKey({ onClose }: { readonly onClose: () => void }) {
  const { operator } = useMe();
  const { busy, error, run } = useDoing();
  const [name, setName] = useState('');
  const [days, setDays] = useState(String(API_KEY_DAYS.usual));
  const [chosen, setChosen] = useState<ReadonlySet<Permission>>(new Set(['decisions.read']));
  const [token, setToken] = useState<string | null>(null);
  const choose = (permission: Permission, on: boolean) => {
    const next = new Set(chosen);
    if (on) next.add(permission);
    else next.delete(permission);
    setChosen(next);
  };
  if (token !== null)
    return (
      <Dialog
        title="Your new key"
        onClose={onClose}
        foot={
          <Button kind="primary" onClick={onClose}>
            I have copied it
          </Button>
        }
      >
        <Notice tone="warn">
          <strong>It is shown now, and never again.</strong>
        </Notice>
        <Code label="key" text={token} wrap />
      </Dialog>
    );
  const make = () =>
    void run(async () => {
      const made = await post<{ readonly token: string }>(KEYS, {
        name: name.trim(),
        permissions: [...chosen],
        days: Number(days),
      });
      setToken(made.token);
    });
  return (
    <Dialog
      title="New API key"
      onClose={onClose}
      onSubmit={make}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={busy || name.trim() === '' || chosen.size === 0}>
            Make it
          </Button>
        </>
      }
    >
      <TextField label="Name" value={name} onInput={setName} maxLength={100} placeholder="ci" autofocus />
      <TextField
        label="Days that it lives"
        type="number"
        value={days}
        onInput={setDays}
        hint={`1 to ${API_KEY_DAYS.most}`}
      />
      <fieldset class="checks">
        <legend class="label">What it may do</legend>
        {operator.permissions
          .filter((permission) => !NEVER.includes(permission))
          .map((permission) => (
            <CheckField
              key={permission}
              label={<code>{permission}</code>}
              checked={chosen.has(permission)}
              onChange={(on) => choose(permission, on)}
            />
          ))}
      </fieldset>
      <Problem error={error} />
    </Dialog>
  );
}
