import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Activity, Alert, AlertSummary, Node, PolicyHistory } from '../lib/answers.ts';
import { get } from '../lib/api.ts';
import { alertPath, feedPath } from '../lib/decisions.ts';
import { countText, msText, shortDigest } from '../lib/format.ts';
import { type Asked, useQuery } from '../lib/query.ts';
import { useRates } from '../lib/rates.ts';
import { Link, navigate } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Card } from '../ui/card.tsx';
import { Chart } from '../ui/chart.tsx';
import { Icon } from '../ui/icons.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded, Notice } from '../ui/states.tsx';
import { Time } from '../ui/time.tsx';

const REFRESH_MS = 5000;
const HOUR_MS = 3_600_000;
/** A node asks for its lease each second: who said nothing for so long has a reason. */
const QUIET_MS = 5000;

export function OverviewPage({ alerts }: { readonly alerts: Asked<AlertSummary> }) {
  const { may } = useMe();
  const activity = useQuery(
    'activity',
    (signal) => get<Activity>('/api/agent/monitor/summary', {}, signal),
    REFRESH_MS,
  );
  const nodes = useQuery(
    may('nodes.read') ? 'nodes' : null,
    (signal) => get<{ readonly nodes: readonly Node[] }>('/api/wallet/nodes', {}, signal),
    REFRESH_MS,
  );
  const policies = useQuery(
    may('policies.read') ? 'policies' : null,
    (signal) => get<PolicyHistory>('/api/wallet/policies/history', {}, signal),
    REFRESH_MS * 6,
  );
  const rates = useRates(may('monitor.read'));
  return (
    <Page title="Overview" about="What agents do at this moment, and whether every stop holds.">
      <div class="stack loose">
        <Tiles rates={rates} activity={activity.data} alerts={alerts.data} />
        <div class="dash">
          <Traffic rates={rates} activity={activity} />
          <div class="stack">
            <Reasons activity={activity} />
            <Spikes alerts={alerts} />
          </div>
          <Lag alerts={alerts} />
          {may('nodes.read') ? <Nodes nodes={nodes} policies={policies.data} /> : null}
          {may('policies.read') ? <Revisions policies={policies} /> : null}
        </div>
      </div>
    </Page>
  );
}

function hourAgo(): string {
  return new Date(Date.now() - HOUR_MS).toISOString();
}

interface TilesProps {
  readonly rates: ReturnType<typeof useRates>;
  readonly activity: Activity | null;
  readonly alerts: AlertSummary | null;
}

function Tiles({ rates, activity, alerts }: TilesProps) {
  const hour = activity?.decisions.last_hour;
  const all = hour === undefined ? 0 : hour.allow + hour.deny;
  const lag = alerts?.revocation_lag;
  const open = alerts?.alerts.filter(({ severity }) => severity !== 'info').length ?? 0;
  return (
    <ul class="tiles">
      <Tile name="Decisions per second" {...perSecond(rates, activity)} to="/decisions" />
      <Tile
        name="Denied in the last hour"
        value={hour === undefined ? '–' : countText(hour.deny)}
        tone={hour !== undefined && hour.deny > 0 ? 'deny' : undefined}
        about={all === 0 ? 'no decision yet' : `${percent(hour?.deny ?? 0, all)} of ${countText(all)}`}
        to={feedPath({ verdict: 'deny', since: hourAgo() })}
      />
      <Tile
        name="Active runtimes"
        value={activity === null ? '–' : countText(activity.runtimes_active)}
        about="in the last five minutes"
        to="/runtimes?status=active"
      />
      <Tile
        name="A stop reaches nodes in"
        value={lag === undefined ? '–' : lag.count === 0 ? '–' : msText(lag.p99_ms)}
        tone={lag?.met === false ? 'deny' : undefined}
        about={
          lag === undefined
            ? ''
            : lag.count === 0
              ? 'none in the last hour'
              : `p99; the aim is ${msText(lag.target.p99_ms)}`
        }
        to={feedPath({ reason: 'runtime_killed' })}
      />
      <Tile
        name="Open alerts"
        value={alerts === null ? '–' : countText(open)}
        tone={open > 0 ? 'warn' : undefined}
        about={open === 0 ? 'nothing needs a look' : 'need a look'}
        to="/alerts"
      />
    </ul>
  );
}

/** As they come, or, where no stream comes through, as they were counted. */
function perSecond(
  rates: TilesProps['rates'],
  activity: Activity | null,
): Pick<TileProps, 'value' | 'about'> {
  if (streams(rates))
    return { value: mean(rates, ['allow', 'deny']), about: `${mean(rates, ['deny'])} denied, over 10 s` };
  if (activity === null) return { value: '–', about: 'no live stream' };
  const { allow, deny } = activity.decisions.last_minute;
  return {
    value: rateText((allow + deny) / 60),
    about: `${rateText(deny / 60)} denied, over the last minute`,
  };
}

function streams({ state }: TilesProps['rates']): boolean {
  return state === 'live' || state === 'connecting';
}

/** Of the last ten whole seconds. */
function mean(rates: TilesProps['rates'], verdicts: readonly ('allow' | 'deny')[]): string {
  const sum = verdicts.flatMap((verdict) => rates[verdict].slice(-10)).reduce((a, b) => a + b, 0);
  return rateText(sum / 10);
}

function rateText(each: number): string {
  return each === 0 ? '0' : each < 10 ? each.toFixed(1) : countText(Math.round(each));
}

function percent(part: number, whole: number): string {
  const value = (part / whole) * 100;
  return `${value > 0 && value < 0.1 ? '<0.1' : value.toFixed(value < 10 ? 1 : 0)} %`;
}

interface TileProps {
  readonly name: string;
  readonly value: ComponentChildren;
  readonly about: string;
  readonly tone?: 'deny' | 'warn' | undefined;
  readonly to: string;
}

function Tile({ name, value, about, tone, to }: TileProps) {
  return (
    <li>
      <Link to={to} class={`tile card ${tone ?? ''}`}>
        <span class="soft small">{name}</span>
        <span class="value num">{value}</span>
        <span class="soft small">{about}</span>
      </Link>
    </li>
  );
}

type Range = 'live' | 'hour';

function Traffic({
  rates,
  activity,
}: {
  readonly rates: TilesProps['rates'];
  readonly activity: Asked<Activity>;
}) {
  const [range, setRange] = useState<Range>('live');
  const minutes = activity.data?.decisions.per_minute ?? [];
  const streaming = streams(rates);
  const live = range === 'live' && streaming;
  const times = live ? rates.times : minutes.map(({ minute }) => Date.parse(minute) / 1000);
  const allow = live ? rates.allow : minutes.map((one) => one.allow);
  const deny = live ? rates.deny : minutes.map((one) => one.deny);
  const total = (values: readonly number[]) => countText(values.reduce((a, b) => a + b, 0));
  const bucket = live ? 1 : 60;
  return (
    <div class="wide">
      <Card
        title="Decisions"
        side={
          <>
            <span class="legend allow">allowed</span>
            <span class="legend deny">denied</span>
            <div class="segments">
              {(['live', 'hour'] as const).map((one) => (
                <button
                  key={one}
                  type="button"
                  aria-pressed={live === (one === 'live')}
                  disabled={one === 'live' && !streaming}
                  onClick={() => setRange(one)}
                >
                  {one === 'live' ? 'Live' : 'Last hour'}
                </button>
              ))}
            </div>
          </>
        }
      >
        <StreamNotice rates={rates} />
        <Chart
          label={`Decisions ${live ? 'per second, two minutes' : 'per minute, one hour'}: ${total(allow)} allowed, ${total(deny)} denied`}
          times={times}
          series={[
            { name: 'allowed', color: '--allow', values: allow },
            { name: 'denied', color: '--deny', values: deny },
          ]}
          onPick={(index) => {
            const at = times[index];
            if (at === undefined) return;
            const iso = (seconds: number) => new Date(seconds * 1000).toISOString();
            navigate(feedPath({ since: iso(at), until: iso(at + bucket) }));
          }}
        />
        <p class="soft small row between">
          <span>
            {live ? 'Each point is one second' : 'Each point is one minute'}; a click shows its decisions.
          </span>
          <Link
            to={feedPath({
              since: new Date((times[0] ?? Date.now() / 1000) * 1000).toISOString(),
            })}
          >
            All of these
          </Link>
        </p>
      </Card>
    </div>
  );
}

/** Zeros of a stream that does not come are no figures. */
function StreamNotice({ rates }: { readonly rates: TilesProps['rates'] }) {
  if (!streams(rates))
    return (
      <Notice tone="warn">
        No live stream comes through; what was counted is asked for every {REFRESH_MS / 1000} s.
      </Notice>
    );
  if (rates.behind === null) return null;
  return <Notice tone="warn">The stream is {countText(rates.behind)} events behind.</Notice>;
}

function Reasons({ activity }: { readonly activity: Asked<Activity> }) {
  return (
    <Card title="Top reasons" side={<span class="soft small">last hour</span>}>
      <Loaded asked={activity}>
        {({ top_reasons: reasons }) => {
          const most = Math.max(1, ...reasons.map(({ count }) => count));
          if (reasons.length === 0)
            return (
              <Empty title="No decision in the last hour" icon="decisions">
                <p>
                  <Link to="/connect">Connect a runtime</Link>
                </p>
              </Empty>
            );
          return (
            <ol class="ranks">
              {reasons.slice(0, 8).map(({ reason, count }) => (
                <li key={reason}>
                  <Link to={feedPath({ reason, since: hourAgo() })}>
                    <span class="fill" style={{ width: `${(count / most) * 100}%` }} />
                    <code>{reason}</code>
                    <span class="num">{countText(count)}</span>
                  </Link>
                </li>
              ))}
            </ol>
          );
        }}
      </Loaded>
    </Card>
  );
}

function Spikes({ alerts }: { readonly alerts: Asked<AlertSummary> }) {
  return (
    <Card title="Deny spikes" side={<Link to="/alerts">All alerts</Link>}>
      <Loaded asked={alerts}>
        {({ alerts: all, baseline_minutes }) => {
          const spikes = all.filter(({ kind }) => kind === 'deny_spike');
          if (spikes.length === 0)
            return (
              <p class="calm">
                <Icon name="check" />
                <span>
                  {baseline_minutes < 10
                    ? `Learning what is usual: ${baseline_minutes} of 10 minutes with decisions are counted.`
                    : `None: denials are as usual for the last ${baseline_minutes} minutes with decisions.`}
                </span>
              </p>
            );
          return (
            <ul class="stack tight">
              {spikes.slice(0, 5).map((spike) => (
                <SpikeItem key={`${spike.since} ${spike.message}`} spike={spike} />
              ))}
            </ul>
          );
        }}
      </Loaded>
    </Card>
  );
}

function SpikeItem({ spike }: { readonly spike: Alert }) {
  return (
    <li class="small">
      <Link to={alertPath(spike)}>
        <Badge tone={spike.severity === 'critical' ? 'deny' : 'warn'}>{spike.severity}</Badge>{' '}
        <span class="break">{spike.message}</span>
      </Link>
    </li>
  );
}

function Lag({ alerts }: { readonly alerts: Asked<AlertSummary> }) {
  return (
    <Card title="Revocation lag" side={<span class="soft small">stops of the last hour</span>}>
      <Loaded asked={alerts}>
        {({ revocation_lag: { count, p50_ms, p99_ms, max_ms, target, met } }) =>
          count === 0 ? (
            <p class="calm">
              <Icon name="check" />
              <span>
                No stop was sent to nodes. The aim is {msText(target.p50_ms)} for half of them,{' '}
                {msText(target.p99_ms)} for 99 of 100.
              </span>
            </p>
          ) : (
            <div class="stack tight">
              <Gauge name="p50" ms={p50_ms} target={target.p50_ms} />
              <Gauge name="p99" ms={p99_ms} target={target.p99_ms} />
              <p class="soft small">
                {countText(count)} acknowledgements, the slowest {msText(max_ms)}.{' '}
                {met ? 'Within the aim.' : 'Not within the aim.'}{' '}
                <Link to={feedPath({ reason: 'runtime_killed', verdict: 'deny' })}>Denied since</Link>
              </p>
            </div>
          )
        }
      </Loaded>
    </Card>
  );
}

/** A bar that reaches the line at its aim. */
function Gauge({
  name,
  ms,
  target,
}: {
  readonly name: string;
  readonly ms: number | null;
  readonly target: number;
}) {
  const scale = Math.max(target * 1.5, (ms ?? 0) * 1.1);
  const over = ms !== null && ms > target;
  return (
    <div class="gauge">
      <span class="soft small">{name}</span>
      <span class={`track ${over ? 'over' : ''}`} aria-hidden="true">
        <i style={{ width: `${((ms ?? 0) / scale) * 100}%` }} />
        <b style={{ left: `${(target / scale) * 100}%` }} />
      </span>
      <span class="num small">
        {msText(ms)} <span class="soft">of {msText(target)}</span>
      </span>
    </div>
  );
}

interface NodesProps {
  readonly nodes: Asked<{ readonly nodes: readonly Node[] }>;
  readonly policies: PolicyHistory | null;
}

function Nodes({ nodes, policies }: NodesProps) {
  return (
    <Card title="Decision nodes">
      <Loaded asked={nodes}>
        {({ nodes: all }) => {
          const there = all.filter(({ left }) => !left);
          if (there.length === 0)
            return (
              <p class="calm">
                <Icon name="nodes" />
                <span>Decisions are made in this process: every stop holds at once.</span>
              </p>
            );
          return (
            <ul class="lags">
              {there.map((node) => (
                <li key={node.instance}>
                  <span class="break">
                    <strong>{node.node}</strong> <span class="soft small">{node.version}</span>{' '}
                    {node.duplicate ? <Badge tone="warn">name twice</Badge> : null}
                    {policies === null || node.bundles === null ? null : (
                      <NodePolicies bundles={node.bundles} policies={policies} />
                    )}
                  </span>
                  <NodeState node={node} />
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
    </Card>
  );
}

function NodeState({ node }: { readonly node: Node }) {
  const { leased_for_ms: left, lease_age_ms: age, lag } = node;
  if (left === 0)
    return (
      <Badge tone="deny">{age === null ? 'not heard of' : `last heard ${msText(age)} ago`}: it denies</Badge>
    );
  if (age === null) return <Badge tone="warn">not heard of yet, may allow for {msText(left)}</Badge>;
  if (lag !== null && lag > 0) return <Badge tone="warn">{countText(lag)} events behind</Badge>;
  return (
    <Badge tone={age > QUIET_MS ? 'warn' : 'allow'}>
      {age > QUIET_MS ? 'silent' : 'fresh'}, {msText(age)} ago
    </Badge>
  );
}

/** What it decides by, held against what is in force. */
function NodePolicies({
  bundles,
  policies,
}: {
  readonly bundles: readonly string[];
  readonly policies: PolicyHistory;
}) {
  const active = policies.bundles.filter((bundle) => bundle.active);
  const missing = active.filter(({ sha256 }) => !bundles.includes(sha256));
  const known = policies.bundles.filter(({ sha256 }) => bundles.includes(sha256));
  return (
    <span class="block small soft">
      {known.map(({ revision }) => revision).join(' · ')}{' '}
      {missing.length === 0 ? null : (
        <Badge tone="warn">not yet {missing.map(({ revision }) => revision).join(', ')}</Badge>
      )}
    </span>
  );
}

function Revisions({ policies }: { readonly policies: Asked<PolicyHistory> }) {
  return (
    <Card title="Policies in force" side={<Link to="/policies">All revisions</Link>}>
      <Loaded asked={policies}>
        {({ bundles }) => (
          <ul class="lags">
            {bundles
              .filter(({ active }) => active)
              .map(({ name, revision, sha256, activated_at }) => (
                <li key={sha256}>
                  <span class="break">
                    <Link to={`/policies?profile=${name}`}>
                      <strong>{name}</strong>
                    </Link>{' '}
                    <span class="soft small">{revision}</span>
                  </span>
                  <span class="soft small">
                    <code title={sha256}>{shortDigest(sha256)}</code>{' '}
                    {activated_at === null ? null : <Time at={activated_at} form="relative" />}
                  </span>
                </li>
              ))}
          </ul>
        )}
      </Loaded>
    </Card>
  );
}
