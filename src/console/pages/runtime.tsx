import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { ControlEvent, Delegation, RuntimeDetail, ShownProof } from '../lib/answers.ts';
import { get } from '../lib/api.ts';
import { feedPath } from '../lib/decisions.ts';
import { verbOf } from '../lib/events.ts';
import { shortSubject } from '../lib/format.ts';
import { useQuery } from '../lib/query.ts';
import { Link } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Chips } from '../ui/chips.tsx';
import { Facts } from '../ui/facts.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded, Notice } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { Budgets } from './budgets.tsx';
import { KillDialog } from './kill.tsx';
import { ApproveDialog, ReactivateDialog, RevokeDialog, TaintDialog, VerbDialog } from './runtime-verbs.tsx';
import { ProfileBadge, StatusBadge } from './runtimes.tsx';

type Open =
  | { readonly verb: 'kill' | 'contain' | 'resume' | 'taint' | 'approve' | 'reactivate' }
  | { readonly verb: 'revoke'; readonly proof: ShownProof };

const REFRESH_MS = 5000;

export function RuntimePage({ id }: { readonly id: string }) {
  const { may } = useMe();
  const [open, setOpen] = useState<Open | null>(null);
  const asked = useQuery(
    id,
    (signal) => get<RuntimeDetail>(`/api/wallet/runtimes/${encodeURIComponent(id)}`, {}, signal),
    REFRESH_MS,
  );
  const { data } = asked;
  const close = () => {
    setOpen(null);
    asked.reload();
  };
  const status = data?.runtime.status;
  const ask = (verb: Exclude<Open['verb'], 'revoke'>) => () => setOpen({ verb });
  const tainted = data !== null && needsApproval(data);
  return (
    <Page
      title={id}
      crumb={<Link to="/runtimes">Runtimes</Link>}
      badge={data === null ? null : <StatusBadge status={data.runtime.status} />}
      actions={
        <>
          {tainted && may('runtimes.approve') ? (
            <Button kind="primary" icon="check" onClick={ask('approve')}>
              Approve again
            </Button>
          ) : null}
          {status === 'inactive' && may('runtimes.write') ? (
            <Button icon="play" onClick={ask('resume')}>
              Resume
            </Button>
          ) : null}
          {status === 'active' && may('runtimes.stop') ? (
            <>
              <Button onClick={ask('taint')}>Taint</Button>
              <Button icon="pause" onClick={ask('contain')}>
                Contain
              </Button>
            </>
          ) : null}
          {status === 'killed' && may('runtimes.approve') ? (
            <Button onClick={ask('reactivate')}>Let it be bound anew</Button>
          ) : null}
          {status !== undefined && status !== 'killed' && may('runtimes.stop') ? (
            <Button kind="danger solid" icon="stop" onClick={ask('kill')}>
              Kill
            </Button>
          ) : null}
        </>
      }
    >
      <Loaded asked={asked} lines={8}>
        {(detail) => (
          <Detail
            detail={detail}
            onRevoke={may('runtimes.stop') ? (proof) => setOpen({ verb: 'revoke', proof }) : null}
          />
        )}
      </Loaded>
      {open === null || data === null ? null : dialogOf(open, data, close)}
    </Page>
  );
}

function dialogOf(open: Open, detail: RuntimeDetail, onClose: () => void): ComponentChildren {
  const { runtime } = detail;
  switch (open.verb) {
    case 'kill':
      return <KillDialog id={runtime.runtime_id} onClose={onClose} />;
    case 'contain':
      return (
        <VerbDialog
          id={runtime.runtime_id}
          verb="contain"
          title={`Contain ${runtime.runtime_id}?`}
          about="Everything is denied to it until somebody resumes it."
          onClose={onClose}
        />
      );
    case 'resume':
      return (
        <VerbDialog
          id={runtime.runtime_id}
          verb="resume"
          title={`Resume ${runtime.runtime_id}?`}
          about="Its proofs are good again from now on."
          onClose={onClose}
        />
      );
    case 'taint':
      return <TaintDialog id={runtime.runtime_id} onClose={onClose} />;
    case 'approve':
      return <ApproveDialog detail={detail} onClose={onClose} />;
    case 'reactivate':
      return <ReactivateDialog runtime={runtime} onClose={onClose} />;
    case 'revoke':
      return <RevokeDialog id={runtime.runtime_id} proof={open.proof} onClose={onClose} />;
  }
}

/** Its epoch was raised, and no proof of the new one is out. */
function needsApproval({ runtime, proofs, tainted_by }: RuntimeDetail): boolean {
  const current = proofs.some(({ state }) => state === 'current');
  return runtime.status === 'active' && tainted_by.length > 0 && !current;
}

interface DetailProps {
  readonly detail: RuntimeDetail;
  readonly onRevoke: ((proof: ShownProof) => void) | null;
}

function Detail({ detail, onRevoke }: DetailProps) {
  const { runtime, proofs, events, delegations, tainted_by, subject_revoked } = detail;
  return (
    <div class="stack loose">
      {runtime.status === 'killed' ? (
        <Notice tone="deny">
          <strong>Killed: no node lets a request of it through.</strong>
          <span>What was bound before stays dead, also if it is bound anew.</span>
        </Notice>
      ) : null}
      {runtime.status === 'inactive' ? (
        <Notice tone="warn">
          <strong>Contained: everything is denied to it until it is resumed.</strong>
        </Notice>
      ) : null}
      {needsApproval(detail) ? (
        <Notice tone="warn">
          <strong>Tainted: its proofs are of an epoch before {runtime.taint_epoch}.</strong>
          <span>
            “{tainted_by[0]?.reason ?? 'no reason was given'}”. Look at what it read, then approve it again at
            epoch {runtime.taint_epoch}.
          </span>
        </Notice>
      ) : null}
      {subject_revoked ? (
        <Notice tone="deny">
          <strong>Its delegator was revoked: every chain of theirs is dead.</strong>
        </Notice>
      ) : null}
      <div class="split">
        <Card title="Identity">
          <Facts
            rows={[
              ['Agent', runtime.agent_id],
              ['Workspace', runtime.workspace_id],
              ['Profile', <ProfileBadge key="profile" profile={runtime.profile} />],
              [
                'Delegator',
                <code key="subject" title={runtime.subject}>
                  {shortSubject(runtime.subject)}
                </code>,
              ],
              [
                'Taint epoch',
                <span key="epoch" class="num">
                  {runtime.taint_epoch}
                </span>,
              ],
              ['Registered', <Time key="at" at={runtime.registered_at} />],
              [
                'Bound anew',
                runtime.reactivated_at === undefined ? null : <Time key="re" at={runtime.reactivated_at} />,
              ],
            ]}
          />
          <p class="small more row">
            <Link to={feedPath({ runtime: runtime.runtime_id })}>Its decisions</Link>
            <Link to={feedPath({ runtime: runtime.runtime_id, verdict: 'deny' })}>Its denials</Link>
          </p>
        </Card>
        <Card title="Who delegated what">
          <Tree subject={delegations.subject} below={delegations.below} />
        </Card>
      </div>
      <Card title="Proofs" flush>
        {proofs.length === 0 ? (
          <Empty title="No proof is out" icon="keys">
            <p>
              It can do nothing until one is issued:{' '}
              <Link
                to={`/connect?${new URLSearchParams({ runtime: runtime.runtime_id, agent: runtime.agent_id, workspace: runtime.workspace_id })}`}
              >
                the command for it
              </Link>
            </p>
          </Empty>
        ) : (
          <Proofs proofs={proofs} onRevoke={onRevoke} />
        )}
      </Card>
      <Budgets proofs={proofs} />
      <Card title="What happened to it" flush>
        {events.length === 0 ? (
          <Empty title="Nothing yet" icon="audit">
            <p>Stops, taints, approvals and proofs of it are listed here, with who did it and why.</p>
          </Empty>
        ) : (
          <Events events={events} cause={tainted_by} />
        )}
      </Card>
    </div>
  );
}

function Tree({ subject, below }: { readonly subject: string; readonly below: readonly Delegation[] }) {
  return (
    <ul class="tree">
      <li>
        <span class="row">
          <strong>Person</strong>
          <code class="small soft" title={subject}>
            {shortSubject(subject)}
          </code>
        </span>
        <Branches below={below} />
      </li>
    </ul>
  );
}

function Branches({ below }: { readonly below: readonly Delegation[] }) {
  if (below.length === 0) return null;
  return (
    <ul>
      {below.map(({ type, id, expires_at, below: deeper }) => (
        <li key={id}>
          <span class="row">
            <strong>{type}</strong>
            <code class="small soft" title={id}>
              {id.length > 18 ? `${id.slice(0, 18)}…` : id}
            </code>
            <span class="small soft">
              ends <Time at={expires_at} form="relative" />
            </span>
          </span>
          <Branches below={deeper} />
        </li>
      ))}
    </ul>
  );
}

const STATES = { current: 'allow', stale: 'warn', revoked: 'deny' } as const;

function Proofs({
  proofs,
  onRevoke,
}: {
  readonly proofs: readonly ShownProof[];
  readonly onRevoke: DetailProps['onRevoke'];
}) {
  return (
    <Table
      label="Proofs"
      rows={proofs}
      keyOf={({ lemma_id }) => lemma_id}
      columns={[
        {
          name: 'Proof',
          cell: ({ lemma_id, intent }) => (
            <span title={lemma_id}>
              <code>{lemma_id.slice(0, 14)}…</code>
              {intent === null ? null : <span class="soft small block">{intent}</span>}
            </span>
          ),
        },
        { name: 'State', cell: ({ state }) => <Badge tone={STATES[state]}>{state}</Badge> },
        {
          name: 'Scope',
          cell: ({ scope }) => <Chips names={scope} />,
        },
        { name: 'Epoch', right: true, cell: ({ taint_epoch }) => <span class="num">{taint_epoch}</span> },
        { name: 'Ends', right: true, cell: ({ expires_at }) => <Time at={expires_at} form="relative" /> },
        ...(onRevoke === null
          ? []
          : [
              {
                name: '',
                right: true,
                cell: (proof: ShownProof) =>
                  proof.state === 'revoked' ? null : (
                    <Button kind="danger" onClick={() => onRevoke(proof)}>
                      Revoke
                    </Button>
                  ),
              },
            ]),
      ]}
    />
  );
}

function Events({
  events,
  cause,
}: {
  readonly events: readonly ControlEvent[];
  readonly cause: readonly ControlEvent[];
}) {
  const raised = new Set(cause.map(({ seq }) => seq));
  return (
    <Table
      label="Events"
      rows={events}
      keyOf={({ epoch, seq }) => `${epoch} ${seq}`}
      columns={[
        { name: 'When', cell: ({ at }) => <Time at={at} /> },
        {
          name: 'What',
          cell: (event) => (
            <span class="row">
              <strong>{verbOf(event.type, event)}</strong>
              {event.taint_epoch === undefined ? null : (
                <span class="soft small">epoch {event.taint_epoch}</span>
              )}
              {raised.has(event.seq) ? <Badge tone="warn">raised the epoch</Badge> : null}
            </span>
          ),
        },
        {
          name: 'Why',
          cell: ({ reason }) => <span class="break">{reason ?? <span class="soft">–</span>}</span>,
        },
        { name: 'By', cell: ({ by }) => by ?? <span class="soft">–</span> },
        { name: 'Seq', right: true, cell: ({ seq }) => <span class="num soft">{seq}</span> },
      ]}
    />
  );
}
