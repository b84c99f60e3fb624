import type { ProofBudget, ShownProof } from '../lib/answers.ts';
import { countText } from '../lib/format.ts';
import { Card } from '../ui/card.tsx';
import { Empty, Notice } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';

type Limited = ShownProof & { readonly budget: ProofBudget };

/** What is left of each proof that may be used so many times. */
export function Budgets({ proofs }: { readonly proofs: readonly ShownProof[] }) {
  const limited = proofs.filter(
    (proof): proof is Limited => proof.budget !== null && proof.state !== 'revoked',
  );
  const unknown = limited.some(({ budget }) => budget.used === null);
  const alone = limited.some(({ budget }) => budget.counted_by === 'this_process');
  return (
    <Card title="Budgets" flush>
      {limited.length === 0 ? (
        <Empty title="No proof has a budget" icon="keys">
          <p>Its operations are not counted: a proof is issued with a budget, or without one.</p>
        </Empty>
      ) : (
        <>
          <Table
            label="Budgets"
            rows={limited}
            keyOf={({ lemma_id }) => lemma_id}
            columns={[
              {
                name: 'Proof',
                cell: ({ lemma_id }) => <code title={lemma_id}>{lemma_id.slice(0, 14)}…</code>,
              },
              {
                name: 'Limit',
                right: true,
                cell: ({ budget }) => <span class="num">{countText(budget.operations)}</span>,
              },
              { name: 'Used', cell: ({ budget }) => <Used budget={budget} /> },
              { name: 'Left', right: true, cell: ({ budget }) => <Left budget={budget} /> },
              {
                name: 'Resets',
                right: true,
                cell: ({ expires_at }) => (
                  <span>
                    never; ends <Time at={expires_at} form="relative" />
                  </span>
                ),
              },
            ]}
          />
          {unknown ? (
            <div class="pad">
              <Notice tone="warn">
                <span>
                  What was used is not known where the count that all nodes share is away or was lost. Until
                  it is known again, requests under such a proof are denied.
                </span>
              </Notice>
            </div>
          ) : null}
          {alone ? (
            <p class="small soft pad">Counted by this process: what other nodes decided is not in it.</p>
          ) : null}
        </>
      )}
    </Card>
  );
}

function Used({ budget: { used, operations } }: { readonly budget: ProofBudget }) {
  if (used === null) return <span class="soft">not known</span>;
  const part = Math.min(1, used / Math.max(1, operations));
  return (
    <span class="meter">
      <span class={`bar ${part >= 1 ? 'out' : ''}`} aria-hidden="true">
        <i style={{ width: `${part * 100}%` }} />
      </span>
      <span class="small num">{countText(used)}</span>
    </span>
  );
}

function Left({ budget: { remaining } }: { readonly budget: ProofBudget }) {
  if (remaining === null) return <span class="soft">not known</span>;
  return <span class="num">{remaining === 0 ? 'none' : countText(remaining)}</span>;
}
