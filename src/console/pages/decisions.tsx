import { useEffect, useRef, useState } from 'preact/hooks';
import { queryText } from '../lib/api.ts';
import { type DecisionRow, decisionPath, FILTERS, type Filter, filtersIn } from '../lib/decisions.ts';
import { ASKED_MS, type Feed, useFeed } from '../lib/feed.ts';
import { KEPT } from '../lib/feed-buffer.ts';
import { countText, msText } from '../lib/format.ts';
import { Link, navigate, setParams, usePlace } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge, VerdictBadge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { SelectField, TextField } from '../ui/field.tsx';
import { Icon } from '../ui/icons.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Failed, Loading, Problem } from '../ui/states.tsx';
import { ROLE } from '../ui/table-roles.ts';
import { Time } from '../ui/time.tsx';

export function DecisionsPage() {
  const { params } = usePlace();
  const { may } = useMe();
  const query = FILTERS.flatMap((name) => {
    const value = params.get(name);
    return value === null ? [] : [`${name}=${encodeURIComponent(value)}`];
  }).join('&');
  const [paused, setPaused] = useState(false);
  const [away, setAway] = useState(false);
  const feed = useFeed(query, paused || away);
  return (
    <Page
      title="Decisions"
      about="Every answer to an agent, as it is given."
      badge={<StreamBadge feed={feed} paused={paused} ended={params.has('until')} />}
      actions={
        <>
          <Button icon={paused ? 'play' : 'pause'} pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? `Resume${feed.waiting > 0 ? ` (${countText(feed.waiting)} new)` : ''}` : 'Pause'}
          </Button>
          {may('decisions.export') ? <Exports params={params} /> : null}
        </>
      }
    >
      <div class="stack">
        <Filters key={query} params={params} />
        <Stream
          key={query}
          feed={feed}
          paused={paused}
          onPause={() => setPaused((before) => !before)}
          onAway={setAway}
          filtered={query !== ''}
        />
      </div>
    </Page>
  );
}

function StreamBadge({
  feed,
  paused,
  ended,
}: {
  readonly feed: Feed;
  readonly paused: boolean;
  readonly ended: boolean;
}) {
  if (ended) return <Badge bare>Past</Badge>;
  if (paused) return <Badge tone="warn">Paused</Badge>;
  switch (feed.state) {
    case 'live':
      return feed.behind === null ? (
        <Badge tone="allow">Live</Badge>
      ) : (
        <Badge tone="warn">{countText(feed.behind)} behind</Badge>
      );
    case 'connecting':
      return <Badge>Connecting</Badge>;
    case 'asking':
      return <Badge tone="warn">No live stream: asked every {ASKED_MS / 1000} s</Badge>;
    case 'waiting':
      return <Badge tone="deny">Offline, trying again</Badge>;
    case 'refused':
      return <Badge tone="deny">Refused</Badge>;
  }
}

function Exports({ params }: { readonly params: URLSearchParams }) {
  const href = (format: string) =>
    `/api/wallet/runtimes/decisions/export${queryText({ ...filtersIn(params), format })}`;
  return (
    <>
      <a class="button" href={href('csv')} download="decisions.csv">
        <Icon name="download" />
        CSV
      </a>
      <a class="button" href={href('ndjson')} download="decisions.ndjson">
        <Icon name="download" />
        NDJSON
      </a>
    </>
  );
}

const VERDICTS = [
  ['', 'All'],
  ['allow', 'Allowed'],
  ['deny', 'Denied'],
] as const;

const SINCE = [
  ['', 'Any time'],
  ['900', 'Last 15 minutes'],
  ['3600', 'Last hour'],
  ['86400', 'Last day'],
  ['604800', 'Last week'],
] as const;

const TEXTS: readonly (readonly [Filter, string, string])[] = [
  ['runtime', 'Runtime', 'my-runtime'],
  ['reason', 'Reason', 'scope_denied'],
  ['route', 'Route', 'documents.read'],
  ['agent', 'Agent', 'my-agent'],
  ['workspace', 'Workspace', 'prod'],
  ['subject', 'Delegator', 'ppid_…'],
];

function Filters({ params }: { readonly params: URLSearchParams }) {
  const [texts, setTexts] = useState(() =>
    Object.fromEntries(TEXTS.map(([name]) => [name, params.get(name) ?? ''])),
  );
  const first = TEXTS.slice(0, 3);
  const others = TEXTS.slice(3);
  const used = [...others.map(([name]) => name), 'since', 'until'].some((name) => params.has(name));
  const field = ([name, label, placeholder]: (typeof TEXTS)[number]) => (
    <TextField
      key={name}
      label={label}
      type="search"
      placeholder={placeholder}
      value={texts[name] ?? ''}
      onInput={(value) => {
        setTexts((before) => ({ ...before, [name]: value }));
        if (value === '' && params.has(name)) setParams({ [name]: null });
      }}
    />
  );
  const since = params.get('since');
  const verdict = params.get('verdict') ?? '';
  return (
    <form
      class="filters card"
      aria-label="Filters"
      onSubmit={(event) => {
        event.preventDefault();
        setParams(texts);
      }}
      onChange={() => setParams(texts)}
    >
      <fieldset class="segments">
        <legend class="sr">Verdict</legend>
        {VERDICTS.map(([value, name]) => (
          <button
            key={value}
            type="button"
            aria-pressed={verdict === value}
            onClick={() => setParams({ verdict: value })}
          >
            {name}
          </button>
        ))}
      </fieldset>
      {first.map(field)}
      <details open={used}>
        <summary>More filters</summary>
        <div class="filters-more">
          {others.map(field)}
          <SelectField
            label={since === null ? 'Since' : `Since ${new Date(since).toLocaleString()}`}
            value=""
            options={SINCE}
            onChange={(seconds) => {
              const from = new Date(Date.now() - Number(seconds) * 1000).toISOString();
              setParams({ since: seconds === '' ? null : from });
            }}
          />
        </div>
      </details>
      {FILTERS.some((name) => params.has(name)) ? (
        <Button
          kind="quiet"
          icon="cross"
          onClick={() => setParams(Object.fromEntries(FILTERS.map((name) => [name, null])))}
        >
          Clear
        </Button>
      ) : null}
    </form>
  );
}

const OVERSCAN = 12;
/** Rows from the end of what is here, at which more is asked for. */
const AHEAD = 30;

interface StreamProps {
  readonly feed: Feed;
  readonly paused: boolean;
  readonly onPause: () => void;
  /** Whether somebody reads on, so that nothing may move. */
  readonly onAway: (away: boolean) => void;
  readonly filtered: boolean;
}

/** Only the rows that are seen are in the page, however many there are. */
function Stream({ feed, paused, onPause, onAway, filtered }: StreamProps) {
  const { rows, waiting, error, loading, more, loadOlder } = feed;
  const pane = useRef<HTMLElement>(null);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState({ height: 600, row: 44 });
  const [chosen, setChosen] = useState<string | null>(null);

  useEffect(() => {
    const element = pane.current;
    if (element === null) return;
    const measure = () => {
      const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
      const row = rem * Number.parseFloat(getComputedStyle(element).getPropertyValue('--row-rem'));
      setSize({ height: element.clientHeight, row });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => onAway(top > size.row / 2 || chosen !== null), [top, chosen, size.row, onAway]);

  const first = Math.max(0, Math.floor(top / size.row) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((top + size.height) / size.row) + OVERSCAN);
  useEffect(() => {
    if (more && last > rows.length - AHEAD) loadOlder();
  }, [more, last, rows.length, loadOlder]);

  const toTop = () => {
    setChosen(null);
    pane.current?.scrollTo({ top: 0 });
    pane.current?.focus();
  };
  const choose = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    const element = pane.current;
    if (row === undefined || element === null) return;
    setChosen(row.key);
    const at = rows.indexOf(row) * size.row;
    const head = size.row;
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + size.row + head > element.scrollTop + element.clientHeight)
      element.scrollTop = at + size.row + head - element.clientHeight;
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    const at = rows.findIndex(({ key }) => key === chosen);
    const page = Math.max(1, Math.floor(size.height / size.row) - 2);
    const act = KEYS[event.key];
    if (act === undefined) return;
    event.preventDefault();
    switch (act) {
      case 'down':
        return choose(at + 1);
      case 'up':
        return at <= 0 ? toTop() : choose(at - 1);
      case 'page down':
        return choose(at + page);
      case 'page up':
        return choose(at - page);
      case 'first':
        return toTop();
      case 'last':
        return choose(rows.length - 1);
      case 'open': {
        const row = rows[at];
        if (row !== undefined) navigate(decisionPath(row.id));
        return;
      }
      case 'pause':
        return onPause();
      case 'leave':
        return toTop();
    }
  };

  if (error !== null && rows.length === 0) return <Failed error={error} />;
  const index = rows.findIndex(({ key }) => key === chosen);
  return (
    <div class="card feed">
      <Problem error={error} />
      {waiting > 0 && !paused ? (
        <button type="button" class="fresh" onClick={toTop}>
          {countText(waiting)} new
        </button>
      ) : null}
      <section
        ref={pane}
        class="pane"
        aria-label="Decisions, the latest first. Arrow keys move, Enter explains, Space pauses"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        tabIndex={0}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={onKey}
      >
        <table class="rows" {...ROLE.table} aria-rowcount={rows.length + 1}>
          <thead {...ROLE.group}>
            <tr {...ROLE.row}>
              <th {...ROLE.column} scope="col">
                Time
              </th>
              <th {...ROLE.column} scope="col">
                Verdict
              </th>
              <th {...ROLE.column} scope="col">
                Reason
              </th>
              <th {...ROLE.column} scope="col">
                Runtime
              </th>
              <th {...ROLE.column} scope="col">
                Request
              </th>
              <th {...ROLE.column} scope="col">
                Route
              </th>
              <th {...ROLE.column} scope="col" class="right">
                Took
              </th>
            </tr>
          </thead>
          <tbody {...ROLE.group}>
            <Space height={first * size.row} />
            {rows.slice(first, last).map((row, n) => (
              <Row key={row.key} row={row} index={first + n} chosen={row.key === chosen} />
            ))}
            <Space height={(rows.length - last) * size.row} />
          </tbody>
        </table>
        {rows.length > 0 ? null : loading ? (
          <Loading lines={8} />
        ) : (
          <Empty title={filtered ? 'No decision matches these filters' : 'No decision yet'} icon="decisions">
            <p>
              {filtered ? (
                'They are shown here as soon as one does.'
              ) : (
                <>
                  The first one is shown here within a second. <Link to="/connect">Connect a runtime</Link>
                </>
              )}
            </p>
          </Empty>
        )}
      </section>
      <p class="foot soft small num">{aboutOf(feed)}</p>
      <p class="sr" aria-live="polite">
        {index < 0 ? '' : `${rows[index]?.verdict} ${rows[index]?.reason}, ${rows[index]?.runtime ?? ''}`}
      </p>
    </div>
  );
}

/** What is here, and what is no longer: nothing is let go unsaid. */
function aboutOf({ rows, more, letGo, gap }: Feed): string {
  const here = `${countText(rows.length)} decisions`;
  if (letGo > 0 || gap)
    return `${here}; ${gap ? 'more than ' : ''}${countText(letGo)} older ones made room for newer. The log has them: set a filter, or export.`;
  if (more) return `${here}, older ones as you scroll`;
  return rows.length < KEPT ? here : `${here}; for older ones set a filter, or export.`;
}

type Act = 'down' | 'up' | 'page down' | 'page up' | 'first' | 'last' | 'open' | 'pause' | 'leave';
const KEYS: Readonly<Record<string, Act>> = {
  ArrowDown: 'down',
  j: 'down',
  ArrowUp: 'up',
  k: 'up',
  PageDown: 'page down',
  PageUp: 'page up',
  Home: 'first',
  End: 'last',
  Enter: 'open',
  ' ': 'pause',
  Escape: 'leave',
};

function Space({ height }: { readonly height: number }) {
  if (height <= 0) return null;
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: nothing here takes the focus; it is no row, it makes room
    <tr class="space" aria-hidden="true">
      <td colSpan={7} style={{ height: `${height}px` }} />
    </tr>
  );
}

function Row({
  row,
  index,
  chosen,
}: {
  readonly row: DecisionRow;
  readonly index: number;
  readonly chosen: boolean;
}) {
  return (
    <tr {...ROLE.row} class={chosen ? 'chosen' : ''} aria-rowindex={index + 2}>
      <td {...ROLE.cell}>
        <Link to={decisionPath(row.id)}>
          <Time at={row.time} form="clock" />
          <span class="sr"> Explain {row.id}</span>
        </Link>
      </td>
      <td {...ROLE.cell}>
        <VerdictBadge verdict={row.verdict} />
        {row.observed ? (
          <span class="note" title="The route only observes: the request went on">
            observed
          </span>
        ) : null}
        {row.amends ? <span class="note">amended</span> : null}
      </td>
      <td {...ROLE.cell} class="mono">
        {row.reason}
        {row.requests > 1 ? <span class="note">× {countText(row.requests)}</span> : null}
        {row.lost > 0 ? (
          <span class="note" title="The node was too busy to keep records of them">
            {countText(row.lost)} before it lost
          </span>
        ) : null}
      </td>
      <td {...ROLE.cell}>{row.runtime ?? <span class="soft">nobody known</span>}</td>
      <td {...ROLE.cell} class="mono" title={row.host === null ? '' : `${row.method} ${row.host}${row.path}`}>
        {row.method === null ? (
          <span class="soft">–</span>
        ) : (
          <>
            <b>{row.method}</b> {row.path}
          </>
        )}
      </td>
      <td {...ROLE.cell} class="mono soft">
        {row.route ?? '–'}
      </td>
      <td {...ROLE.cell} class="right num soft">
        {msText(row.took_us / 1000)}
      </td>
    </tr>
  );
}
