import { useEffect, useRef, useState } from 'preact/hooks';
import type { Node, Stopped } from '../lib/answers.ts';
import { get, post } from '../lib/api.ts';
import { decisionsSince } from '../lib/decisions.ts';
import { msText } from '../lib/format.ts';
import { useDoing } from '../lib/query.ts';
import { longestOf, reachOf } from '../lib/reach.ts';
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
  const asked = useRef(0);
  const kill = () =>
    void run(async () => {
      asked.current = performance.now();
      const body = reason.trim() === '' ? {} : { reason: reason.trim() };
      setStopped(await post<Stopped>(`/api/wallet/runtimes/${encodeURIComponent(id)}/kill`, body));
    });
  if (stopped !== null)
    return <Enforcement id={id} first={stopped} asked={asked.current} onClose={onClose} />;
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

interface EnforcementProps {
  readonly id: string;
  readonly first: Stopped;
  /** When it was asked for, by the monotonic clock. */
  readonly asked: number;
  readonly onClose: () => void;
}

function Enforcement({ id, first, asked, onClose }: EnforcementProps) {
  const { may } = useMe();
  const { nodes, since, left, enforced } = useSpread(may('nodes.read'), first, asked);
  const others = nodes.filter(({ instance }) => first.nodes.every((one) => one.instance !== instance));
  // Who may not see nodes hears of them by the answer alone.
  const unseen = nodes.length > 0 ? [] : (first.waiting ?? []);
  const waiting = unseen.length + others.filter((node) => reachOf(node, first) === 'waiting').length;
  return (
    <Dialog
      title={
        enforced
          ? 'Killed and enforced'
          : waiting === 0
            ? 'Killed: reaching the last nodes'
            : `Killed: ${waiting} of ${first.nodes.length + others.length + unseen.length} nodes pending`
      }
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
          <strong>
            {enforced ? 'Nothing of it passes any node.' : 'Denied at every node that has confirmed.'}
          </strong>
          <p class="soft small">
            {enforced ? (
              'No node lets a request through from now on.'
            ) : (
              <>
                A node has not confirmed yet: it does at its next word, and by{' '}
                <Time at={first.enforced_by ?? first.at} form="clock" /> none can let a request through,
                whatever it knows.
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
        {others.map((node) => (
          <li key={node.instance}>
            <span class="break">{node.node}</span>
            <NodeReach node={node} stop={first} after={since.get(node.instance) ?? null} />
          </li>
        ))}
        {unseen.map(({ node, instance }) => (
          <li key={instance}>
            <span class="break">{node}</span>
            {enforced ? (
              <Badge>allows nothing of it</Badge>
            ) : (
              <Badge tone="warn">pending, {msText(left)} at most</Badge>
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

interface NodeReachProps {
  readonly node: Node;
  readonly stop: Stopped;
  /** How long after the question it was seen to have confirmed, milliseconds; null: it had when it was first looked at. */
  readonly after: number | null;
}

function NodeReach({ node, stop, after }: NodeReachProps) {
  switch (reachOf(node, stop)) {
    case 'applied':
      return <Badge tone="allow">{after === null ? 'confirmed' : `confirmed after ${msText(after)}`}</Badge>;
    case 'left':
      return <Badge>has left</Badge>;
    case 'ended':
      return <Badge>allows nothing: its lease ended</Badge>;
    case 'waiting':
      return <Badge tone="warn">pending, {msText(node.leased_for_ms)} at most</Badge>;
  }
}

interface SpreadSeen {
  /** Those that were heard of within a day, and have not left. */
  readonly nodes: readonly Node[];
  /** When each that was waited for was seen to have confirmed, milliseconds after the question; by instance. */
  readonly since: ReadonlyMap<string, number>;
  /** What is left of the time that the answer named, milliseconds. */
  readonly left: number | null;
  readonly enforced: boolean;
}

/** Looks again and again how far the stop has come, until it is enforced. */
function useSpread(allowed: boolean, first: Stopped, asked: number): SpreadSeen {
  const [nodes, setNodes] = useState<readonly Node[]>([]);
  const [now, setNow] = useState(() => performance.now());
  const since = useRef(new Map<string, number>());
  const awaited = useRef(new Set<string>());
  const longest = longestOf(first);
  const allow = nodes.some((node) => reachOf(node, first) === 'waiting');
  const enforced =
    first.enforced || (longest !== null && now - asked >= longest) || (nodes.length > 0 && !allow);
  useEffect(() => {
    const abort = new AbortController();
    const look = async () => {
      if (allowed) {
        // Where it cannot be asked, what is known stays: the stop itself is done.
        const found = await get<{ readonly nodes: readonly Node[] }>('/api/wallet/nodes', {}, abort.signal)
          .then((answer) => answer.nodes.filter(({ left }) => !left))
          .catch(() => null);
        for (const node of found ?? []) note(node);
        if (found !== null) setNodes(found);
      }
      setNow(performance.now());
    };
    const note = (node: Node) => {
      const reach = reachOf(node, first);
      if (reach === 'waiting') awaited.current.add(node.instance);
      if (reach === 'applied' && awaited.current.has(node.instance) && !since.current.has(node.instance))
        since.current.set(node.instance, performance.now() - asked);
    };
    void look();
    const timer = enforced ? undefined : setInterval(() => void look(), LOOK_MS);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [allowed, enforced, first, asked]);
  const left = longest === null ? null : Math.max(0, longest - (now - asked));
  return { nodes, since: since.current, left, enforced };
}
