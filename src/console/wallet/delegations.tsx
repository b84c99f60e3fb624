import { useMemo, useState } from 'preact/hooks';
import type { Delegation, Runtime, RuntimeDetail, ShownProof } from '../lib/answers.ts';
import { all, get, post } from '../lib/api.ts';
import { useQuery } from '../lib/query.ts';
import { AGENT_OPS } from '../lib/router.tsx';
import type { Me } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Chips } from '../ui/chips.tsx';
import { Confirm } from '../ui/confirm.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded, Notice } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import type { Sealed } from './seal.ts';
import { SessionGate } from './session.tsx';
import { entryAt } from './site.ts';

const RUNTIMES = '/api/wallet/runtimes';

/** What somebody's chains say he let a runtime do. */
export interface Given {
  readonly runtime: string;
  readonly id: string;
  readonly scope: readonly string[];
  readonly expires_at: string;
  /** Nothing that hangs on it counts any more. */
  readonly revoked: boolean;
}

export interface DelegationsPageProps {
  readonly root: Uint8Array;
  readonly sealed: Sealed;
}

export function DelegationsPage({ root, sealed }: DelegationsPageProps) {
  return (
    <Page
      title="Delegations"
      of="Wallet"
      about="What runtimes may do in your name at this site. Whatever hangs on a delegation ends with it."
    >
      <SessionGate root={root} sealed={sealed}>
        {(me) =>
          me.may('runtimes.read') ? (
            <Mine root={root} me={me} />
          ) : (
            <Notice>
              Your role does not show runtimes: somebody who sees them can look for your subject.
            </Notice>
          )
        }
      </SessionGate>
    </Page>
  );
}

function Mine({ root, me }: { readonly root: Uint8Array; readonly me: Me }) {
  const { subject } = useMemo(() => entryAt(root, location.hostname), [root]);
  const [ending, setEnding] = useState<Given | null>(null);
  const asked = useQuery(subject, (signal) => delegationsOf(subject, signal));
  return (
    <section class="card" aria-label="Delegations">
      <Loaded asked={asked}>
        {(given) =>
          given.length === 0 ? (
            <Empty title="Nothing is delegated by you" icon="keys">
              <p>No proof that is out at this site goes back to this wallet.</p>
            </Empty>
          ) : (
            <Table
              label="Delegations"
              rows={given}
              keyOf={({ id, runtime }) => `${runtime} ${id}`}
              columns={[
                {
                  name: 'Runtime',
                  cell: ({ runtime }) => (
                    <a href={`${AGENT_OPS}/runtimes/${encodeURIComponent(runtime)}`}>{runtime}</a>
                  ),
                },
                {
                  name: 'Delegation',
                  cell: ({ id }) => (
                    <code class="small" title={id}>
                      {id.slice(0, 14)}…
                    </code>
                  ),
                },
                {
                  name: 'May',
                  cell: ({ scope }) => <Chips names={scope} />,
                },
                { name: 'Ends', cell: ({ expires_at }) => <Time at={expires_at} form="relative" /> },
                {
                  name: '',
                  right: true,
                  cell: (one) =>
                    one.revoked ? (
                      <Badge tone="deny">revoked</Badge>
                    ) : me.may('runtimes.stop') ? (
                      <Button kind="danger" onClick={() => setEnding(one)}>
                        Revoke
                      </Button>
                    ) : null,
                },
              ]}
            />
          )
        }
      </Loaded>
      {ending === null ? null : (
        <Confirm
          title="Revoke this delegation?"
          act="Revoke"
          done="The delegation is revoked"
          onClose={() => {
            setEnding(null);
            asked.reload();
          }}
          run={() =>
            post(`${RUNTIMES}/kill`, {
              lemma_id: ending.id,
              reason: 'revoked by the delegator, in the wallet',
            })
          }
        >
          <p>
            {ending.runtime} can do nothing by it from now on, for ever. It goes on when somebody issues it a
            new proof.
          </p>
        </Confirm>
      )}
    </section>
  );
}

export async function delegationsOf(subject: string, signal: AbortSignal): Promise<Given[]> {
  const runtimes = await all<'runtimes', Runtime>(RUNTIMES, 'runtimes');
  const mine = runtimes.filter((runtime) => runtime.subject === subject);
  const details = await Promise.all(
    mine.map(({ runtime_id }) =>
      get<RuntimeDetail>(`${RUNTIMES}/${encodeURIComponent(runtime_id)}`, {}, signal),
    ),
  );
  return details.flatMap(({ runtime, delegations, proofs }) => {
    const states = new Map(proofs.map(({ lemma_id, state }) => [lemma_id, state]));
    return delegations.below.flatMap((one) => givenIn(one, runtime.runtime_id, states));
  });
}

function givenIn(
  one: Delegation,
  runtime: string,
  states: ReadonlyMap<string, ShownProof['state']>,
): Given[] {
  const deeper = one.below.flatMap((next) => givenIn(next, runtime, states));
  if (one.type !== 'delegation') return deeper;
  const { id, scope = [], expires_at } = one;
  const hanging = proofsBelow(one, states);
  const revoked = hanging.length > 0 && hanging.every((state) => state === 'revoked');
  return [{ runtime, id, scope, expires_at, revoked }, ...deeper];
}

function proofsBelow({ id, below }: Delegation, states: ReadonlyMap<string, ShownProof['state']>): string[] {
  const own = states.get(id);
  return [...(own === undefined ? [] : [own]), ...below.flatMap((one) => proofsBelow(one, states))];
}
