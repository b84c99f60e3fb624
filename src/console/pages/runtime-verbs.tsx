import { useState } from 'preact/hooks';
import type { Runtime, RuntimeDetail, ShownProof } from '../lib/answers.ts';
import { post } from '../lib/api.ts';
import { useDoing } from '../lib/query.ts';
import { Button } from '../ui/button.tsx';
import { Code } from '../ui/code.tsx';
import { Confirm, type ConfirmProps } from '../ui/confirm.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Facts } from '../ui/facts.tsx';
import { SelectField, TextField } from '../ui/field.tsx';
import { Problem } from '../ui/states.tsx';
import { Time } from '../ui/time.tsx';

function pathOf(id: string, verb: string): string {
  return `/api/wallet/runtimes/${encodeURIComponent(id)}/${verb}`;
}

function reasonIn(text: string): { readonly reason?: string } {
  return text.trim() === '' ? {} : { reason: text.trim() };
}

interface AskProps extends Pick<ConfirmProps, 'title' | 'act' | 'done' | 'danger' | 'onClose'> {
  readonly about: string;
  readonly reasonNeeded?: boolean;
  readonly run: (reason: { readonly reason?: string }) => Promise<void>;
}

/** A verb that asks only why. */
function Ask({ about, danger = false, reasonNeeded = false, run, ...confirm }: AskProps) {
  const [reason, setReason] = useState('');
  return (
    <Confirm
      {...confirm}
      danger={danger}
      incomplete={reasonNeeded && reason.trim() === ''}
      run={() => run(reasonIn(reason))}
    >
      <p>{about}</p>
      <TextField
        label="Reason"
        hint={reasonNeeded ? 'Needed: others read it when they decide' : 'Kept with the event'}
        value={reason}
        onInput={setReason}
        maxLength={500}
        autofocus
      />
    </Confirm>
  );
}

export interface VerbDialogProps {
  readonly id: string;
  readonly verb: 'contain' | 'resume';
  readonly title: string;
  readonly about: string;
  readonly onClose: () => void;
}

export function VerbDialog({ id, verb, title, about, onClose }: VerbDialogProps) {
  return (
    <Ask
      title={title}
      about={about}
      act={verb === 'contain' ? 'Contain it' : 'Resume it'}
      danger={verb === 'contain'}
      done={verb === 'contain' ? `${id} is contained` : `${id} goes on`}
      onClose={onClose}
      run={async (reason) => {
        await post(pathOf(id, verb), reason);
      }}
    />
  );
}

export function TaintDialog({ id, onClose }: { readonly id: string; readonly onClose: () => void }) {
  return (
    <Ask
      title={`Taint ${id}?`}
      about="Its epoch goes up by one: proofs of before are stale until somebody approves it again."
      act="Taint it"
      danger
      reasonNeeded
      done={`${id} is tainted`}
      onClose={onClose}
      run={async (reason) => {
        await post(pathOf(id, 'taint'), reason);
      }}
    />
  );
}

export function ReactivateDialog({
  runtime,
  onClose,
}: {
  readonly runtime: Runtime;
  readonly onClose: () => void;
}) {
  return (
    <Ask
      title={`Let ${runtime.runtime_id} be bound anew?`}
      about={`Under a new epoch after ${runtime.taint_epoch}. Every proof that it ever had stays dead.`}
      act="Let it be bound anew"
      reasonNeeded
      done={`${runtime.runtime_id} may be bound anew`}
      onClose={onClose}
      run={async (reason) => {
        await post(pathOf(runtime.runtime_id, 'reactivate'), { taint_epoch: runtime.taint_epoch, ...reason });
      }}
    />
  );
}

export function RevokeDialog({
  id,
  proof,
  onClose,
}: {
  readonly id: string;
  readonly proof: ShownProof;
  readonly onClose: () => void;
}) {
  return (
    <Ask
      title="Revoke this proof?"
      about={`${proof.lemma_id}, and every run below it, is denied from now on. The runtime itself goes on.`}
      act="Revoke it"
      danger
      done="The proof is revoked"
      onClose={onClose}
      run={async (reason) => {
        await post(pathOf(id, 'revoke'), { lemma_id: proof.lemma_id, ...reason });
      }}
    />
  );
}

const LIVES = [
  ['900', '15 minutes'],
  ['1800', '30 minutes'],
  ['3600', '1 hour'],
] as const;

interface Approved {
  readonly header: string;
  readonly expires_at: string;
}

/** At the epoch that is shown: where it has moved on meanwhile, nothing is approved. */
export function ApproveDialog({
  detail,
  onClose,
}: {
  readonly detail: RuntimeDetail;
  readonly onClose: () => void;
}) {
  // What was looked at, whatever the page learns behind this dialog.
  const [{ runtime, tainted_by }] = useState(detail);
  const doing = useDoing();
  const [ttl, setTtl] = useState<(typeof LIVES)[number][0]>('900');
  const [approved, setApproved] = useState<Approved | null>(null);
  const approve = () =>
    void doing.run(async () => {
      const body = { taint_epoch: runtime.taint_epoch, ttl_s: Number(ttl) };
      setApproved(await post<Approved>(pathOf(runtime.runtime_id, 'approve'), body));
    });
  if (approved !== null)
    return (
      <Dialog
        title="Approved"
        onClose={onClose}
        foot={
          <Button kind="primary" onClick={onClose} autofocus>
            Done
          </Button>
        }
      >
        <p>
          A proof for the same key, at epoch {runtime.taint_epoch}, until <Time at={approved.expires_at} />.
          The runtime renews itself into it; where it cannot, give it this one.
        </p>
        <Code label="proof" text={approved.header} wrap />
      </Dialog>
    );
  return (
    <Dialog
      title={`Approve ${runtime.runtime_id} at epoch ${runtime.taint_epoch}?`}
      onClose={onClose}
      onSubmit={approve}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={doing.busy}>
            Approve epoch {runtime.taint_epoch}
          </Button>
        </>
      }
    >
      <p>What raised it:</p>
      <Facts
        rows={tainted_by.map((event) => [
          <Time key={event.seq} at={event.at} />,
          event.reason ?? 'no reason given',
        ])}
      />
      <SelectField label="The new proof lives" value={ttl} options={LIVES} onChange={setTtl} />
      <Problem error={doing.error} />
    </Dialog>
  );
}
