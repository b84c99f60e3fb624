import { useState } from 'preact/hooks';
import { ROLES, type Role } from '../../schema/access.ts';
import type { OperatorItem, Paged } from '../lib/answers.ts';
import { get, post } from '../lib/api.ts';
import { shortSubject } from '../lib/format.ts';
import { useDoing, useQuery } from '../lib/query.ts';
import { usePlace } from '../lib/router.tsx';
import { type Me, useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Confirm } from '../ui/confirm.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { CheckField, SelectField, TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Pager } from '../ui/pager.tsx';
import { Empty, Loaded, Problem } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { toast } from '../ui/toasts.tsx';

const OPERATORS = '/api/wallet/operators';
const ABOUT: Readonly<Record<Role, string>> = {
  owner: 'Owner: everything of this organisation',
  operator: 'Operator: runtimes, proofs, stops',
  policy_author: 'Policy author: reads what policies decide',
  auditor: 'Auditor: reads everything, changes nothing',
};
/** Whoever holds the deployment's own key: no role to change, and nobody to remove. */
const EMBEDDED = 'owner';

/** Nobody changes who may more than he. */
function changeable({ id, permissions }: OperatorItem, may: Me['may']): boolean {
  return id !== EMBEDDED && permissions.every(may);
}

type Open =
  | { readonly what: 'add' }
  | { readonly what: 'change' | 'remove'; readonly operator: OperatorItem };

export function OperatorsPage() {
  const { params } = usePlace();
  const { may, operator: self } = useMe();
  const cursor = params.get('cursor');
  const [open, setOpen] = useState<Open | null>(null);
  const asked = useQuery(`operators ${cursor}`, (signal) =>
    get<{ readonly operators: readonly OperatorItem[] } & Paged>(OPERATORS, { cursor }, signal),
  );
  const close = () => {
    setOpen(null);
    asked.reload();
  };
  return (
    <Page
      title="Operators"
      about="People who may use this control plane, each known by a key of their wallet for this site."
      actions={
        may('operators.write') ? (
          <Button kind="primary" onClick={() => setOpen({ what: 'add' })}>
            Add an operator
          </Button>
        ) : null
      }
    >
      <div class="card">
        <Loaded asked={asked}>
          {({ operators, next_cursor }) =>
            operators.length === 0 ? (
              <Empty title="Nobody yet" icon="operators">
                <p>Add one by the entry that their wallet shows: its name for this site, and its key.</p>
              </Empty>
            ) : (
              <>
                <Table
                  label="Operators"
                  rows={operators}
                  keyOf={({ id }) => id}
                  columns={[
                    {
                      name: 'Name',
                      cell: ({ id, name }) => (
                        <span class="row">
                          <strong class="break">{name}</strong>
                          {id === self.id ? <Badge tone="accent">you</Badge> : null}
                        </span>
                      ),
                    },
                    {
                      name: 'Role',
                      cell: ({ role, platform }) => (
                        <span class="row">
                          <Badge bare>{role.replaceAll('_', ' ')}</Badge>
                          {platform ? (
                            <Badge tone="accent" bare>
                              platform
                            </Badge>
                          ) : null}
                        </span>
                      ),
                    },
                    {
                      name: 'Known as',
                      cell: ({ subject }) => <code title={subject}>{shortSubject(subject)}</code>,
                    },
                    {
                      name: 'May',
                      cell: ({ permissions }) => (
                        <span title={permissions.join('\n')}>{permissions.length} permissions</span>
                      ),
                    },
                    {
                      name: 'Added',
                      cell: ({ added_at, added_by }) => (
                        <span>
                          <Time at={added_at} form="relative" /> <span class="soft small">by {added_by}</span>
                        </span>
                      ),
                    },
                    ...(may('operators.write')
                      ? [
                          {
                            name: '',
                            right: true,
                            cell: (operator: OperatorItem) =>
                              !changeable(operator, may) ? null : (
                                <span class="row end">
                                  <Button onClick={() => setOpen({ what: 'change', operator })}>
                                    Change
                                  </Button>
                                  <Button kind="danger" onClick={() => setOpen({ what: 'remove', operator })}>
                                    Remove
                                  </Button>
                                </span>
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
      {open?.what === 'add' ? <AddDialog onClose={close} /> : null}
      {open?.what === 'change' ? <ChangeDialog operator={open.operator} onClose={close} /> : null}
      {open?.what === 'remove' ? (
        <Confirm
          title={`Remove ${open.operator.name}?`}
          act="Remove"
          done={`${open.operator.name} is removed`}
          onClose={close}
          run={() => post(`${OPERATORS}/${open.operator.id}/remove`)}
        >
          <p>All sessions and keys of theirs end at once.</p>
        </Confirm>
      ) : null}
    </Page>
  );
}

const CHOICES = ROLES.map((role) => [role, ABOUT[role]] as const);
const PLATFORM = 'Also the platform role: policies, keys, backup and nodes of the whole deployment';

function AddDialog({ onClose }: { readonly onClose: () => void }) {
  const { may } = useMe();
  const { busy, error, run } = useDoing();
  const [name, setName] = useState('');
  const [subject, setSubject] = useState('');
  const [key, setKey] = useState('');
  const [role, setRole] = useState<Role>('operator');
  const [platform, setPlatform] = useState(false);
  const add = async () => {
    const body = {
      ...{ name: name.trim(), subject: subject.trim(), keys: [key.trim()], role },
      ...(platform ? { platform } : {}),
    };
    if (!(await run(async () => void (await post(OPERATORS, body))))) return;
    toast(`${name} may sign in`);
    onClose();
  };
  return (
    <Dialog
      title="Add an operator"
      onClose={onClose}
      onSubmit={() => void add()}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            type="submit"
            disabled={busy || [name, subject, key].some((text) => text.trim() === '')}
          >
            Add
          </Button>
        </>
      }
    >
      <TextField label="Name" value={name} onInput={setName} maxLength={100} autofocus />
      <TextField
        label="PPID at this site"
        mono
        value={subject}
        onInput={setSubject}
        placeholder="did:lemma:ppid_…"
        hint="Their wallet shows it, and the key"
      />
      <TextField
        label="Public key for this site"
        mono
        value={key}
        onInput={setKey}
        hint="43 base64url characters"
      />
      <SelectField label="Role" value={role} options={CHOICES} onChange={setRole} />
      {may('platform.operators') ? (
        <CheckField label={PLATFORM} checked={platform} onChange={setPlatform} />
      ) : null}
      <Problem error={error} />
    </Dialog>
  );
}

function ChangeDialog({
  operator,
  onClose,
}: {
  readonly operator: OperatorItem;
  readonly onClose: () => void;
}) {
  const { may } = useMe();
  const { busy, error, run } = useDoing();
  const [name, setName] = useState(operator.name);
  const [role, setRole] = useState<Role>(operator.role);
  const [platform, setPlatform] = useState(operator.platform);
  const change = async () => {
    const body = {
      ...(name.trim() === operator.name ? {} : { name: name.trim() }),
      ...(role === operator.role ? {} : { role }),
      ...(platform === operator.platform ? {} : { platform }),
    };
    if (Object.keys(body).length === 0) return onClose();
    if (!(await run(async () => void (await post(`${OPERATORS}/${operator.id}`, body))))) return;
    toast(`${name} is changed`);
    onClose();
  };
  return (
    <Dialog
      title={`Change ${operator.name}`}
      onClose={onClose}
      onSubmit={() => void change()}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={busy || name.trim() === ''}>
            Save
          </Button>
        </>
      }
    >
      <TextField label="Name" value={name} onInput={setName} maxLength={100} autofocus />
      <SelectField label="Role" value={role} options={CHOICES} onChange={setRole} />
      {may('platform.operators') ? (
        <CheckField label={PLATFORM} checked={platform} onChange={setPlatform} />
      ) : null}
      <Problem error={error} />
    </Dialog>
  );
}
