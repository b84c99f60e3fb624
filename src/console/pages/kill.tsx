import { useEffect, useState } from 'preact/hooks';
import type { Node, Stopped } from '../lib/answers.ts';
import { get, post } from '../lib/api.ts';
import { decisionsSince } from '../lib/decisions.ts';
import { msText } from '../lib/format.ts';
import { useDoing } from '../lib/query.ts';
import { Link } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { Icon } from '../ui/icons.tsx';
import { Notice, Problem } from '../ui/states.tsx';
import { Time } from '../ui/time.tsx';

export interface KillDialogProps {
  readonly id: string;
  readonly onClose: () => void;
}

/** One confirmation; then how the stop reaches each node, until nothing passes any of them. */
export function KillDialog({ id, onClose }: KillDialogProps) {
  const { busy, error, run } = useDoing();
  const [reason, setReason] = useState('');
  const [stopped, setStopped] = useState<Stopped | null>(null);
  const kill = () =>
    void run(async () => {
      const body = reason.trim() === '' ? {} : { reason: reason.trim() };
      setStopped(await post<Stopped>(`/api/wallet/runtimes/${encodeURIComponent(id)}/kill`, body));
    });
  if (stopped !== null) return <Enforcement id={id} first={stopped} onClose={onClose} />;
  return (
    <Dialog
      title={`Kill ${id}?`}
      onClose={onClose}
      onSubmit={kill}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger solid" icon="stop" type="submit" disabled={busy} autofocus>
            {busy ? 'Killing…' : 'Kill it now'}
          </Button>
        </>
      }
    >
      <p>
        From now on every request of it is denied, on every node, for ever. It comes back only with a new
        binding under a new epoch.
      </p>
      <TextField
        label="Reason"
        hint="Kept with the event"
        value={reason}
        onInput={setReason}
        maxLength={500}
      />
      <Problem error={error} />
    </Dialog>
  );
}

const LOOK_MS = 500;

function Enforcement({
  id,
  first,
  onClose,
}: {
  readonly id: string;
  readonly first: Stopped;
  readonly onClose: () => void;
}) {
  const { may } = useMe();
  const nodes = useNodes(may('nodes.read'), first);
  const [now, setNow] = useState(Date.now);
  const by = first.enforced_by === undefined ? null : Date.parse(first.enforced_by);
  const outstanding = nodes.filter((node) => !applied(node, first) && node.leased_for_ms > 0);
  const known = may('nodes.read') && nodes.length > 0;
  const enforced = first.enforced || (by !== null && now >= by) || (known && outstanding.length === 0);
  useEffect(() => {
    if (enforced) return;
    const timer = setInterval(() => setNow(Date.now()), LOOK_MS);
    return () => clearInterval(timer);
  }, [enforced]);
  return (
    <Dialog
      title={enforced ? 'Killed and enforced' : 'Killed: reaching the last nodes'}
      onClose={onClose}
      foot={
        <Button kind="primary" onClick={onClose} autofocus>
          Done
        </Button>
      }
    >
      <div class={`enforced ${enforced ? 'yes' : ''}`} role="status">
        <Icon name={enforced ? 'check' : 'stop'} size={26} />
        <div>
          <strong>{enforced ? 'Nothing of it passes any node.' : 'This node denies it already.'}</strong>
          <p class="soft small">
            {enforced ? (
              'No node lets a request through from now on.'
            ) : (
              <>
                A node has not confirmed yet. By <Time at={first.enforced_by ?? first.at} form="clock" /> none
                can let a request through, whatever it knows.
              </>
            )}
          </p>
        </div>
      </div>
      <ul class="lags" aria-label="Nodes">
        <li>
          <span>this control plane</span>
          <Badge tone="allow">at once</Badge>
        </li>
        {first.nodes.map(({ node, instance, lag_ms }) => (
          <li key={instance}>
            <span class="break">{node}</span>
            <Badge tone="allow">{msText(lag_ms)}</Badge>
          </li>
        ))}
        {nodes
          .filter(({ instance }) => first.nodes.every((one) => one.instance !== instance))
          .map((node) => (
            <li key={node.instance}>
              <span class="break">{node.node}</span>
              {applied(node, first) ? (
                <Badge tone="allow">confirmed since</Badge>
              ) : node.leased_for_ms === 0 ? (
                <Badge>may allow nothing: its lease ended</Badge>
              ) : (
                <Badge tone="warn">waiting, {msText(node.leased_for_ms)} at most</Badge>
              )}
            </li>
          ))}
      </ul>
      {first.durable ? null : (
        <Notice tone="warn">
          <span>It could not be written to the store, and ends with this process: kill it again.</span>
        </Notice>
      )}
      <p class="small soft">
        Event {first.seq ?? '–'}, <Time at={first.at} />.{' '}
        <Link to={decisionsSince(id, first.at)}>What is denied since</Link>
      </p>
    </Dialog>
  );
}

/** Whether the node has said that it applied the stop. */
function applied({ epoch, seq }: Node, stop: Stopped): boolean {
  return stop.seq !== null && seq !== null && epoch === stop.epoch && seq >= stop.seq;
}

function useNodes(allowed: boolean, { enforced }: Stopped): readonly Node[] {
  const [nodes, setNodes] = useState<readonly Node[]>([]);
  useEffect(() => {
    if (!allowed) return;
    const abort = new AbortController();
    const look = () => {
      get<{ readonly nodes: readonly Node[] }>('/api/wallet/nodes', {}, abort.signal).then(
        (found) => setNodes(found.nodes),
        // What is known stays: the stop itself is done.
        () => undefined,
      );
    };
    look();
    const timer = enforced ? undefined : setInterval(look, LOOK_MS);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [allowed, enforced]);
  return nodes;
}
