import type { ComponentChildren } from 'preact';
import { scopeCovers } from '../../proof/scope.ts';
import type { DecisionRecord, Stage } from '../../schema/decision.ts';
import type { DecidingRule, Explanation } from '../../schema/explanation.ts';
import { get } from '../lib/api.ts';
import { feedPath } from '../lib/decisions.ts';
import { verbOf } from '../lib/events.ts';
import { msText, shortDigest, shortSubject } from '../lib/format.ts';
import { markdownOf } from '../lib/markdown.ts';
import { type Asked, useQuery } from '../lib/query.ts';
import { nextStep } from '../lib/reasons.ts';
import { inputsOf, valueAt } from '../lib/rego.ts';
import { BASE, Link, setParams, usePlace } from '../lib/router.tsx';
import { Badge, VerdictBadge } from '../ui/badge.tsx';
import { Card } from '../ui/card.tsx';
import { Code, CopyButton } from '../ui/code.tsx';
import { Facts } from '../ui/facts.tsx';
import { Icon } from '../ui/icons.tsx';
import { Lines } from '../ui/lines.tsx';
import { Page } from '../ui/page.tsx';
import { Loaded } from '../ui/states.tsx';
import { Tabs } from '../ui/tabs.tsx';
import { Time } from '../ui/time.tsx';
import { TracedRules } from './traced-rules.tsx';

export function ExplainPage({ id }: { readonly id: string }) {
  const ask = (trace: string | null) => async (signal: AbortSignal) => {
    const path = `/api/wallet/runtimes/decisions/${encodeURIComponent(id)}/explain`;
    return (await get<{ readonly explanation: Explanation }>(path, { trace }, signal)).explanation;
  };
  const asked = useQuery(id, ask(null));
  const { data } = asked;
  // OPA itself evaluates it once more, which takes a while: the page does not wait for it.
  const traced = useQuery(data === null || data.bundle === null ? null : id, ask('rules'));
  return (
    <Page
      title={data === null ? 'Decision' : data.verdict === 'allow' ? 'Allowed' : 'Denied'}
      crumb={<Link to="/decisions">Decisions</Link>}
      badge={data === null ? null : <code class="reason">{data.reason}</code>}
      about={<code class="break">{id}</code>}
      actions={
        data === null ? null : (
          <>
            <CopyButton text={() => `${location.origin}${BASE}/decisions/${id}`}>Copy link</CopyButton>
            <CopyButton
              text={() => markdownOf(traced.data ?? data, `${location.origin}${BASE}/decisions/${id}`)}
            >
              Copy as Markdown
            </CopyButton>
          </>
        )
      }
    >
      <Loaded asked={asked} lines={10}>
        {(explanation) => <Explained explanation={explanation} traced={traced} />}
      </Loaded>
    </Page>
  );
}

interface ExplainedProps {
  readonly explanation: Explanation;
  readonly traced: Asked<Explanation>;
}

function Explained({ explanation, traced }: ExplainedProps) {
  const { record, chain, amended } = explanation;
  return (
    <div class="explain">
      <div class="stack loose">
        <Verdict explanation={explanation} />
        {chain.length > 0 ? <Chain explanation={explanation} /> : null}
        <Policy explanation={explanation} traced={traced} />
      </div>
      <div class="stack loose">
        <RequestCard record={record} />
        <Today explanation={explanation} />
        <LiveState explanation={explanation} />
        {amended.length > 0 ? (
          <Card title="Amended">
            <p class="small">
              The answer had been {amended.map(({ verdict }) => verdict).join(', ')}; a stop that came before
              it left turned it.
            </p>
          </Card>
        ) : null}
      </div>
    </div>
  );
}

const STAGES: readonly (readonly [stage: Stage, name: string])[] = [
  ['request', 'Request'],
  ['proof', 'Proof'],
  ['gate', 'Live state'],
  ['policy', 'Policy'],
  ['log', 'Log'],
  ['answer', 'Answer'],
];

function Verdict({ explanation }: { readonly explanation: Explanation }) {
  const { verdict, reason, summary, stage, record, evaluated_again: again, failed } = explanation;
  const at = STAGES.findIndex(([one]) => one === stage);
  // Whatever was denied before is in the log all the same: it is read from there.
  const recorded = at < STAGES.findIndex(([one]) => one === 'log') ? 'log' : null;
  const next = verdict === 'deny' ? nextStep(reason) : null;
  return (
    <section class={`card verdict ${verdict}`} aria-label="Verdict">
      <div class="body stack">
        <p class="summary">{summary}</p>
        <ol class="stages" aria-label="How far it came">
          {STAGES.map(([one, name], n) => {
            const took = one === 'answer' ? undefined : record.took_us[one];
            const state =
              n < at || one === recorded
                ? 'passed'
                : n > at
                  ? 'not reached'
                  : verdict === 'deny'
                    ? 'denied here'
                    : 'passed';
            return (
              <li key={one} class={state.replace(' ', '-')}>
                <span class="dot">
                  {state === 'passed' ? <Icon name="check" size={12} /> : null}
                  {state === 'denied here' ? <Icon name="cross" size={12} /> : null}
                </span>
                <span class="name">{name}</span>
                <span class="soft small num">
                  {one === recorded
                    ? 'recorded'
                    : state === 'not reached'
                      ? one === 'answer'
                        ? 'a denial'
                        : 'not reached'
                      : took === undefined
                        ? ''
                        : msText(took / 1000)}
                  <span class="sr">{state === 'denied here' ? ' denied here' : ''}</span>
                </span>
              </li>
            );
          })}
        </ol>
        {failed === null ? null : (
          <Facts
            rows={Object.entries(failed.facts).map(([name, value]) => [
              name.replaceAll('_', ' '),
              // Counted as the chain below counts them.
              <code key={name}>
                {name === 'link' && typeof value === 'number' ? value + 1 : textOf(value)}
              </code>,
            ])}
          />
        )}
        {next === null ? null : (
          <p class="small">
            <strong>What to do:</strong>{' '}
            {next.split('`').map((text, n) => (n % 2 === 0 ? text : <code key={text}>{text}</code>))}
          </p>
        )}
        <Again again={again} />
      </div>
    </section>
  );
}

function Again({ again }: { readonly again: Explanation['evaluated_again'] }) {
  if (again === null)
    return <p class="soft small">A check came before any policy: there was nothing to evaluate again.</p>;
  return (
    <p class={`again ${again.equal ? 'equal' : 'differs'}`}>
      <Icon name={again.equal ? 'check' : 'alerts'} />
      <span>
        <strong>{again.equal ? 'Evaluated again: equal' : 'Evaluated again: not equal'}</strong>{' '}
        <span class="soft">
          {again.error ??
            (again.equal
              ? 'The recorded input and the recorded revision gave the recorded result, byte for byte.'
              : 'The recorded input gave another result now.')}
        </span>
      </span>
    </p>
  );
}

function Chain({ explanation }: { readonly explanation: Explanation }) {
  const { chain, record } = explanation;
  return (
    <Card title="Chain of proofs" side={<span class="soft small">from the root to the one that acts</span>}>
      <ol class="chain">
        {chain.map((link, n) => {
          const above = chain[n - 1];
          const gone = above === undefined ? [] : above.scope.filter((one) => !link.scope.includes(one));
          // A root gives everything, and names nothing.
          const more =
            above === undefined || above.type === 'root'
              ? []
              : link.scope.filter((one) => !above.scope.some((given) => scopeCovers(given, one)));
          return (
            <li key={link.id} class={link.failed ? 'failed' : ''}>
              <span class="knot" aria-hidden="true">
                {link.failed ? <Icon name="cross" size={13} /> : n + 1}
              </span>
              <div class="stack tight">
                <div class="row between">
                  <h3>
                    {LINKS[link.type] ?? link.type}{' '}
                    {link.failed ? <Badge tone="deny">failed here</Badge> : null}
                  </h3>
                  <Validity from={link.not_before} to={link.expires_at} at={record.time / 1000} />
                </div>
                <code class="small soft break">{link.id}</code>
                <Scopes kept={link.scope} gone={gone} more={more} />
                <div class="small soft">
                  <Time at={link.not_before * 1000} /> to <Time at={link.expires_at * 1000} />
                </div>
                <div class="small soft break">
                  for {link.audience.length === 0 ? 'no audience' : link.audience.join(', ')} · signed by{' '}
                  {shortSubject(link.issuer)}
                </div>
              </div>
            </li>
          );
        })}
      </ol>
    </Card>
  );
}

const LINKS: Readonly<Record<string, string>> = {
  root: 'Root identity',
  delegation: 'Delegation',
  runtime: 'Runtime binding',
  run: 'Run',
};

interface ScopesProps {
  readonly kept: readonly string[];
  /** What the link above has, and this one has not. */
  readonly gone: readonly string[];
  /** Of those kept: what the link above never gave. */
  readonly more: readonly string[];
}

function Scopes({ kept, gone, more }: ScopesProps) {
  return (
    <ul class="chips" aria-label="Scope">
      {kept.length === 0 ? <li class="soft small">no scope of its own</li> : null}
      {kept.map((one) => (
        <li key={one} class={`chip ${more.includes(one) ? 'beyond' : ''}`}>
          {one}
          {more.includes(one) ? <span> (the link above does not give it)</span> : null}
        </li>
      ))}
      {gone.map((one) => (
        <li key={one} class="chip gone" title="The link above has it">
          {one}
          <span class="sr"> (given up here)</span>
        </li>
      ))}
    </ul>
  );
}

/** Seconds. A bar with the moment of the decision in it. */
function Validity({ from, to, at }: { readonly from: number; readonly to: number; readonly at: number }) {
  const part = Math.max(0, Math.min(1, (at - from) / Math.max(1, to - from)));
  const past = at >= to;
  const early = at < from;
  return (
    <span
      class="validity"
      title={`${new Date(from * 1000).toISOString()} to ${new Date(to * 1000).toISOString()}`}
    >
      <span class={`bar ${past || early ? 'out' : ''}`} aria-hidden="true">
        <i style={{ width: `${part * 100}%` }} />
      </span>
      <span class="small soft">
        {past ? 'had expired' : early ? 'not yet valid' : `${leftText(to - at)} left`}
      </span>
    </span>
  );
}

function leftText(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

type View = 'rules' | 'rego' | 'input' | 'result';

function Policy({ explanation, traced }: ExplainedProps) {
  const { bundle, record, rules } = explanation;
  const { params } = usePlace();
  if (bundle === null)
    return (
      <Card title="Policy">
        <p class="soft small">No policy was asked: a hard stop came first, and no policy can lift it.</p>
      </Card>
    );
  const views: readonly (readonly [View, string])[] = [
    ['rules', 'What decided'],
    ['rego', 'Rego'],
    ['input', 'Input'],
    ['result', 'Result'],
  ];
  const asked = params.get('view');
  const view = views.find(([one]) => one === asked)?.[0] ?? 'rules';
  return (
    <Card
      title="Policy snapshot"
      side={
        <>
          <Badge tone="accent" bare>
            {bundle.name}
          </Badge>
          <code class="small">{bundle.revision}</code>
          <code class="small soft" title={bundle.sha256}>
            {shortDigest(bundle.sha256)}
          </code>
        </>
      }
    >
      <Tabs
        label="Policy snapshot"
        tabs={views.map(([id, name]) => ({ id, name }))}
        chosen={view}
        onChoose={(id) => setParams({ view: id === 'rules' ? null : id })}
      >
        {view === 'rules' ? (
          <TracedRules asked={traced}>
            <Rules rules={rules} rego={bundle.rego} record={record} />
          </TracedRules>
        ) : null}
        {view === 'rego' ? <Rego rego={bundle.rego} rules={rules} /> : null}
        {view === 'input' ? <Code label="input" text={JSON.stringify(record.input, null, 2)} /> : null}
        {view === 'result' ? <Code label="result" text={JSON.stringify(record.result, null, 2)} /> : null}
      </Tabs>
    </Card>
  );
}

interface RulesProps {
  readonly rules: readonly DecidingRule[];
  readonly rego: Readonly<Record<string, string>> | null;
  readonly record: DecisionRecord;
}

function Rules({ rules, rego, record }: RulesProps) {
  if (rules.length === 0)
    return (
      <p class="soft small">
        {record.verdict === 'allow'
          ? 'No rule of this revision gave a reason to deny.'
          : 'The policy gave no rule of its own as the reason.'}
      </p>
    );
  return (
    <ul class="stack">
      {rules.map((rule) => (
        <li key={`${rule.code} ${rule.file} ${rule.line}`} class="stack tight">
          <div class="row between">
            <code class="reason">{rule.code}</code>
            <code class="small soft break">
              {rule.file}:{rule.line}
            </code>
          </div>
          <Lines
            text={rule.rego}
            from={rule.line}
            hits={new Set([rule.line])}
            label={`rule of ${rule.code}`}
          />
          <Values rule={rule} rego={rego} record={record} />
        </li>
      ))}
    </ul>
  );
}

/** What a rule looks at in its input, with the value that it had. */
function Values({ rule, rego, record }: Omit<RulesProps, 'rules'> & { readonly rule: DecidingRule }) {
  const paths = inputsOf(rule.rego, rego ?? {});
  if (paths.length === 0) return null;
  return (
    <Facts
      rows={paths.map((path) => [
        <code key={path}>{path}</code>,
        <code key={path}>{textOf(valueAt(record.input, path.split('.').slice(1)))}</code>,
      ])}
    />
  );
}

function Rego({
  rego,
  rules,
}: {
  readonly rego: Readonly<Record<string, string>> | null;
  readonly rules: readonly DecidingRule[];
}) {
  if (rego === null) return <p class="soft small">This node never had that revision.</p>;
  const hit = (path: string) =>
    new Set(rules.filter(({ file }) => path.endsWith(file) || file.endsWith(path)).map(({ line }) => line));
  const files = Object.entries(rego).sort(([a], [b]) => hit(b).size - hit(a).size || a.localeCompare(b));
  return (
    <div class="stack tight">
      {files.map(([path, text]) => (
        <details key={path} open={hit(path).size > 0} class="file">
          <summary>
            <code>{path}</code>
          </summary>
          <Lines text={text} from={1} hits={hit(path)} label={path} />
        </details>
      ))}
    </div>
  );
}

/** What the policy alone would say now, whatever the checks before it would. */
function Today({ explanation: { policy_today: today, verdict } }: { readonly explanation: Explanation }) {
  if (today === null) return null;
  const { bundle, result, equal, error } = today;
  const said = result === null ? null : result.allow ? 'allow' : 'deny';
  return (
    <Card title="Under the active revision today">
      <div class="stack tight">
        <p class="row">
          {said === null ? <Badge tone="warn">no answer</Badge> : <VerdictBadge verdict={said} />}
          {said === 'deny' ? <code class="reason">{result?.reason}</code> : null}
          <span class="soft small">{equal ? 'as then' : said === verdict ? 'otherwise than then' : ''}</span>
        </p>
        {equal || said === null || said === verdict ? null : (
          <p class="small">The policy would say the opposite of what was answered.</p>
        )}
        {error === null ? null : <p class="small">{error}</p>}
        <Facts
          rows={[
            [
              'Revision',
              bundle === null ? (
                'none is in force'
              ) : (
                <Link key="revision" to={`/policies?profile=${bundle.name}`}>
                  {bundle.revision}
                </Link>
              ),
            ],
            ['Digest', bundle === null ? null : <code key="digest">{shortDigest(bundle.sha256)}</code>],
          ]}
        />
        <p class="small soft">The policy alone, asked with the input of then.</p>
      </div>
    </Card>
  );
}

const NO_ROUTE: ReadonlySet<string> = new Set(['route_unknown', 'method_not_allowed']);

function RequestCard({ record }: { readonly record: DecisionRecord }) {
  const { request, actor, route, border, node, time, observed } = record;
  // Turned away unread: nobody looked at what it asks for.
  const unread = request?.method === '';
  const looked = record.stage !== 'request' || NO_ROUTE.has(record.reason);
  return (
    <Card title="Request">
      <Facts
        rows={[
          ['When', <Time key="time" at={time} />],
          [
            'Request',
            request === null ? null : unread ? (
              'not read: there was no room for it'
            ) : (
              <code key="request">{`${request.method} ${request.path}`}</code>
            ),
          ],
          ['Host', request === null || unread ? null : <code key="host">{request.host}</code>],
          [
            'Runtime',
            actor === null ? (
              record.stage === 'request' ? (
                'not looked at'
              ) : (
                'nobody known'
              )
            ) : (
              <Link key="runtime" to={`/runtimes/${actor.runtime_id}`}>
                {actor.runtime_id}
              </Link>
            ),
          ],
          ['Agent', actor === null ? null : `${actor.agent_id} in ${actor.workspace_id}`],
          ['Run', actor?.run_id ?? null],
          ['Delegator', actor === null ? null : <code key="subject">{shortSubject(actor.subject)}</code>],
          [
            'Route',
            route === null ? looked ? 'none matched' : 'not looked for' : <code key="route">{route.id}</code>,
          ],
          ['Border', border],
          ['Enforced by', record.enforcement_point ?? null],
          ['Node', node],
          ['Observed', observed ? 'The route only observes: the request went on' : null],
          ['Trace', record.trace_id === null ? null : <code key="trace">{record.trace_id}</code>],
        ]}
      />
      {actor === null ? null : (
        <p class="small more">
          <Link to={feedPath({ runtime: actor.runtime_id })}>All decisions of this runtime</Link>
        </p>
      )}
    </Card>
  );
}

function LiveState({ explanation }: { readonly explanation: Explanation }) {
  const { record, events } = explanation;
  const { input } = record;
  const own = events.filter(({ runtime_id }) => runtime_id !== null);
  const others = events.filter(({ runtime_id }) => runtime_id === null);
  const { runtime, proof, freshness, budget } = input ?? {};
  const stale =
    runtime !== null && runtime !== undefined && proof !== null && proof !== undefined
      ? proof.taint_epoch < runtime.taint_epoch
      : false;
  const rows: (readonly [ComponentChildren, ComponentChildren])[] = [
    [
      'Runtime',
      runtime === undefined || runtime === null ? null : <Status key="status" status={runtime.status} />,
    ],
    [
      'Taint epoch',
      runtime === undefined || runtime === null
        ? null
        : `${runtime.taint_epoch}${proof === null || proof === undefined ? '' : `, the proof's is ${proof.taint_epoch}${stale ? ' (stale)' : ''}`}`,
    ],
    [
      'Knew of stops',
      freshness === undefined
        ? null
        : freshness.confirmed
          ? 'at that very moment'
          : `as of ${msText(freshness.age_ms)} before (${freshness.source})`,
    ],
    [
      'Budget',
      budget === null || budget === undefined ? null : `${budget.used} of ${budget.limit}, with this request`,
    ],
    [
      'Request signed',
      proof === null || proof === undefined
        ? null
        : proof.pop.present
          ? `yes${proof.pop.body_covered ? ', with its body' : ''}`
          : 'no, by the credential alone',
    ],
  ];
  return (
    <Card title="Live state then">
      <Facts rows={input === null ? stoppedRows(record) : rows} />
      <Events events={own} decided={record.time} label="Events of this runtime" />
      {others.length === 0 ? null : (
        <details class="small more">
          <summary>{others.length} others of the deployment</summary>
          <Events events={others} decided={record.time} label="Events of the deployment" />
        </details>
      )}
    </Card>
  );
}

/** Of a hard stop, before which nothing else was looked at. */
function stoppedRows({ stage, reason, failed }: DecisionRecord): (readonly [string, ComponentChildren])[] {
  if (stage === 'request' || stage === 'proof')
    return [['Looked at', 'not: the request did not come so far']];
  switch (reason) {
    case 'runtime_killed':
      return [['Runtime', <Status key="status" status="killed" />]];
    case 'runtime_inactive':
      return [['Runtime', <Status key="status" status="contained" />]];
    case 'runtime_unknown':
      return [['Runtime', 'not known to this node']];
    case 'revoked':
      return [['Revoked', <code key="value">{textOf(failed?.facts.value)}</code>]];
    case 'replay_detected':
      return [['Nonce of the signature', 'spent before']];
    case 'freshness_stale':
      return [['Knew of stops', 'too long ago to allow anything']];
    default:
      return [];
  }
}

function Events({
  events,
  decided,
  label,
}: {
  readonly events: Explanation['events'];
  readonly decided: number;
  readonly label: string;
}) {
  if (events.length === 0) return null;
  return (
    <ol class="events" aria-label={label}>
      {events.map(({ epoch, seq, type, time, payload }) => (
        <li key={`${epoch} ${seq}`} class={time > decided ? 'later' : ''}>
          <span class="num soft small">#{seq}</span>
          <span class="break">
            {verbOf(type, payload)}
            {typeof payload.reason === 'string' ? (
              <span class="soft small block">{payload.reason}</span>
            ) : null}
          </span>
          <span class="small soft push">
            <Time at={time} form="clock" />
            {time > decided ? ' after' : ''}
          </span>
        </li>
      ))}
    </ol>
  );
}

function Status({ status }: { readonly status: string }) {
  return <Badge tone={status === 'active' ? 'allow' : 'deny'}>{status}</Badge>;
}

function textOf(value: unknown): string {
  if (value === undefined) return 'undefined';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
