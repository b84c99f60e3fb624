import { useEffect, useState } from 'preact/hooks';
import { IMPACT_LAST } from '../../schema/api-impact.ts';
import { CHANGE_KINDS, type ImpactGroup } from '../../schema/impact.ts';
import type { ImpactJob, ImpactReport, PolicyHistory } from '../lib/answers.ts';
import { ApiError, get, post } from '../lib/api.ts';
import { decisionPath } from '../lib/decisions.ts';
import { countText, shortDigest } from '../lib/format.ts';
import { type Asked, useDoing, useQuery } from '../lib/query.ts';
import { Link, usePlace } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge, type Tone } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded, Notice, Problem } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { ChangeCounts, Changes, KINDS } from './policy-changes.tsx';

const WATCH_MS = 700;

/** What a kept revision would have decided otherwise, on the log: before it is in force. */
export function PolicyImpactPage() {
  const { params } = usePlace();
  const sha256 = params.get('sha256') ?? '';
  const [watched, setWatched] = useState(false);
  const asked = useQuery(sha256, (signal) => jobOf(sha256, signal), watched ? WATCH_MS : undefined);
  const job = asked.data?.impact ?? null;
  const running = job?.state === 'running';
  useEffect(() => setWatched(running), [running]);
  const history = useQuery('history', (signal) =>
    get<PolicyHistory>('/api/wallet/policies/history', {}, signal),
  );
  const bundle = history.data?.bundles.find((one) => one.sha256 === sha256);
  const active = history.data?.bundles.find((one) => one.active && one.name === bundle?.name);
  return (
    <Page
      title={`Impact of ${bundle?.revision ?? job?.revision ?? shortDigest(sha256)}`}
      crumb={<Link to="/policies">Policies</Link>}
      about="Recorded decisions are evaluated with it, each after its own revision has given its recorded result again."
      actions={
        active === undefined || active.sha256 === sha256 ? null : (
          <Link to={`/policies/diff?from=${active.sha256}&to=${sha256}`} class="button">
            Diff
          </Link>
        )
      }
    >
      <div class="stack loose">
        <Loaded asked={asked}>{({ impact }) => <Job sha256={sha256} job={impact} asked={asked} />}</Loaded>
      </div>
    </Page>
  );
}

interface Answer {
  readonly impact: ImpactJob | null;
}

const pathOf = (sha256: string) => `/api/wallet/policies/${encodeURIComponent(sha256)}/impact`;

/** Null where nobody has asked for it yet. */
async function jobOf(sha256: string, signal: AbortSignal): Promise<Answer> {
  try {
    return await get<Answer>(pathOf(sha256), {}, signal);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'not_found') return { impact: null };
    throw error;
  }
}

interface JobProps {
  readonly sha256: string;
  readonly job: ImpactJob | null;
  readonly asked: Asked<Answer>;
}

const STATES: Readonly<Record<ImpactJob['state'], Tone>> = {
  running: 'accent',
  done: 'allow',
  failed: 'deny',
  cancelled: 'warn',
};

function Job({ sha256, job, asked }: JobProps) {
  const running = job?.state === 'running';
  return (
    <>
      <Card
        title="On the log"
        side={
          job === null ? undefined : (
            <>
              <Badge tone={STATES[job.state]}>{job.state}</Badge>
              <span class="small soft">
                by {job.by}, <Time at={job.started_at} />
              </span>
            </>
          )
        }
      >
        {running && job !== null ? (
          <Progress job={job} sha256={sha256} onEnded={asked.reload} />
        ) : (
          <Start sha256={sha256} again={job !== null} onStarted={asked.reload} />
        )}
        {job === null || job.error === null ? null : (
          <Notice tone="deny">
            <span>{job.error}</span>
          </Notice>
        )}
      </Card>
      {job?.report === null || job?.report === undefined ? null : <Report report={job.report} />}
    </>
  );
}

interface StartProps {
  readonly sha256: string;
  readonly again: boolean;
  readonly onStarted: () => void;
}

function Start({ sha256, again, onStarted }: StartProps) {
  const { may } = useMe();
  const { busy, error, run } = useDoing();
  const [last, setLast] = useState(String(IMPACT_LAST.usual));
  const count = Number(last);
  const fits = Number.isInteger(count) && count >= 1 && count <= IMPACT_LAST.most;
  if (!may('policies.impact')) return <p class="small soft">Your role does not begin one.</p>;
  const start = async () => {
    if (await run(async () => void (await post(pathOf(sha256), { last: count })))) onStarted();
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void start();
      }}
    >
      <TextField
        label="Latest decisions"
        type="number"
        value={last}
        onInput={setLast}
        problem={fits ? null : `A whole number, 1 to ${countText(IMPACT_LAST.most)}`}
        hint={`At most ${countText(IMPACT_LAST.most)}; a minute at most. Nothing comes into force by it.`}
      />
      <div class="row">
        <Button kind="primary" type="submit" disabled={busy || !fits}>
          {again ? 'Evaluate again' : 'Evaluate'}
        </Button>
      </div>
      <Problem error={error} />
    </form>
  );
}

interface ProgressProps {
  readonly job: ImpactJob;
  readonly sha256: string;
  readonly onEnded: () => void;
}

function Progress({ job, sha256, onEnded }: ProgressProps) {
  const { busy, error, run } = useDoing();
  const cancel = async () => {
    await run(async () => void (await post(`${pathOf(sha256)}/cancel`, {})));
    onEnded();
  };
  return (
    <div class="stack">
      <p aria-live="polite">
        <strong class="num">{countText(job.records)}</strong> evaluated, of the latest {countText(job.last)}{' '}
        at most
      </p>
      <progress class="progress" max={job.last} value={job.records} aria-label="Decisions evaluated" />
      <div class="row">
        <Button onClick={() => void cancel()} disabled={busy}>
          Cancel
        </Button>
      </div>
      <Problem error={error} />
    </div>
  );
}

function Report({ report }: { readonly report: ImpactReport }) {
  const { records, reproduced, counts, not_comparable: uncompared, changes, not_listed: more } = report;
  if (reproduced.not_equal > 0)
    return (
      <Card title="Nothing was compared">
        <p>
          {countText(reproduced.not_equal)} decisions do not give their recorded result with the revision that
          made them.
        </p>
        <ul class="stack tight">
          {reproduced.differing.slice(0, 20).map(({ decision_id: id, why }) => (
            <li key={id} class="small">
              <Link to={decisionPath(id)}>
                <code class="break">{id}</code>
              </Link>{' '}
              {why}
            </li>
          ))}
        </ul>
      </Card>
    );
  const changed = CHANGE_KINDS.reduce((sum, kind) => sum + counts[kind], 0);
  return (
    <>
      <ChangeCounts counts={counts} />
      <p class="small soft">
        Of {countText(records)} decisions, {countText(reproduced.equal)} gave their recorded result again
        first.
        {uncompared.map(({ why, count }) => ` ${countText(count)}: ${why.replaceAll('_', ' ')}.`).join('')}
      </p>
      {changed === 0 ? (
        <div class="card">
          <Empty title="No decision would have come out otherwise" icon="check" />
        </div>
      ) : (
        <>
          <Card title="By rule" flush>
            <Groups name="Rule" groups={report.groups.rule} />
          </Card>
          <Card title="By route" flush>
            <Groups name="Route" groups={report.groups.route} />
          </Card>
          <Card title="By runtime" flush>
            <Groups name="Runtime" groups={report.groups.runtime} />
          </Card>
          <Card title="Decisions that would come out otherwise" flush>
            <Changes label="Changes" changes={changes} />
            {more === 0 ? null : <p class="small soft pad">{countText(more)} more are not listed.</p>}
          </Card>
        </>
      )}
    </>
  );
}

function Groups({ name, groups }: { readonly name: string; readonly groups: readonly ImpactGroup[] }) {
  return (
    <Table
      label={`By ${name.toLowerCase()}`}
      rows={groups}
      keyOf={(group) => group.name ?? ''}
      columns={[
        { name, cell: (group) => <code class="break">{group.name ?? 'none'}</code> },
        {
          name: 'Changes',
          cell: ({ counts }) => (
            <span class="row">
              {CHANGE_KINDS.filter((kind) => counts[kind] > 0).map((kind) => (
                <Badge key={kind} tone={KINDS[kind][1]} bare>
                  {countText(counts[kind])} {KINDS[kind][0]}
                </Badge>
              ))}
            </span>
          ),
        },
        {
          name: 'For example',
          cell: ({ decision_ids: [id] }) =>
            id === undefined ? null : (
              <Link to={decisionPath(id)}>
                <code class="break">{id}</code>
              </Link>
            ),
        },
      ]}
    />
  );
}
