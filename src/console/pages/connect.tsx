import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { DecisionRecord } from '../../schema/decision.ts';
import type { ApiKeyItem, Route, RuntimeDetail } from '../lib/answers.ts';
import { ApiError, get } from '../lib/api.ts';
import { feedPath } from '../lib/decisions.ts';
import { exampleOf, firstRoutes } from '../lib/first-request.ts';
import { useQuery } from '../lib/query.ts';
import { Link, setParams, usePlace } from '../lib/router.tsx';
import { type Me, useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Card } from '../ui/card.tsx';
import { Code } from '../ui/code.tsx';
import { SelectField, TextField } from '../ui/field.tsx';
import { Icon } from '../ui/icons.tsx';
import { Page } from '../ui/page.tsx';
import { Failed, Notice } from '../ui/states.tsx';

const LOOK_MS = 2000;

interface Seen {
  readonly signedIn: boolean;
  readonly registered: boolean;
  readonly proven: boolean;
  readonly decided: boolean;
  readonly allowed: boolean;
}

const NOTHING: Seen = { signedIn: false, registered: false, proven: false, decided: false, allowed: false };

/** From nothing to a decision: each step is green once the control plane has seen it. */
export function ConnectPage() {
  const { params } = usePlace();
  const me = useMe();
  const { may } = me;
  const [runtime, setRuntime] = useState(params.get('runtime') ?? 'my-runtime');
  const [agent, setAgent] = useState(params.get('agent') ?? 'my-agent');
  const [workspace, setWorkspace] = useState(params.get('workspace') ?? 'prod');
  const asked = useQuery(`connect ${runtime}`, (signal) => look(runtime, me, signal), LOOK_MS);
  const routes = useQuery('routes', async (signal) =>
    firstRoutes((await get<{ readonly routes: readonly Route[] }>('/api/wallet/routes', {}, signal)).routes),
  );
  const named = routes.data?.find(({ id }) => id === params.get('route'));
  const route = named ?? routes.data?.[0] ?? null;
  const { signedIn, registered, proven, decided, allowed } = asked.data ?? NOTHING;
  const base = location.origin;
  const names = { runtime, agent, workspace };
  return (
    <Page
      title="Connect a runtime"
      about="Run these where your agent runs. Each step turns green as soon as this control plane has seen it."
    >
      {may('runtimes.write') ? null : (
        <Notice tone="warn">
          <span>
            Your role registers no runtimes: an owner or an operator runs these commands. You see here what
            they have reached.
          </span>
        </Notice>
      )}
      {routes.data !== null && route === null ? (
        <Notice tone="warn">
          <span>
            No route of low risk is configured, and without one nothing is allowed. Add one to{' '}
            <code>lemma.yaml</code>: <a href="/docs/configuration">Configuration</a> says how.
          </span>
        </Notice>
      ) : null}
      <div class="explain">
        <ol class="walk">
          <Step n={1} done={signedIn || registered} title="Sign in from the command line">
            <Code label="sign-in command" text={`lemma session start --api-base ${base}`} wrap />
            <p class="soft small">
              It shows an address and a code, and waits. Open the address in this browser, compare the code,
              and approve. What it gets is kept in <code>~/.lemma/session.json</code>.
            </p>
          </Step>
          <Step n={2} done={registered && proven} title="Register the runtime and get its proof">
            <Code label="connect command" text={connectCommand(base, names, route)} wrap />
            <p class="soft small">
              Its private key is made there, and stays there. Key and proof lie in <code>~/.lemma</code>, or
              in <code>.lemma</code> of the folder that you are in where it has one.{' '}
              {registered ? (
                <Link to={`/runtimes/${encodeURIComponent(runtime)}`}>It is registered.</Link>
              ) : null}
            </p>
          </Step>
          <Step n={3} done={decided} title="Ask for a first decision">
            <Code label="request" text={requestCommand(base, runtime, route)} wrap />
            <p class="soft small">
              This asks about one request as a gateway does for each; nothing is sent to the API.{' '}
              {decided ? <Link to={feedPath({ runtime })}>Its decisions are here.</Link> : null}
            </p>
          </Step>
          <Step n={4} done={allowed} title="See one allowed">
            <p class="soft small">
              {allowed ? (
                <>
                  It is connected:{' '}
                  <Link to={feedPath({ runtime, verdict: 'allow' })}>see why it was allowed</Link>. Next, put
                  it behind a <a href="/docs/agents">local firewall</a> or{' '}
                  <a href="/docs/deployment">your gateway</a>.
                </>
              ) : decided ? (
                <Link to={feedPath({ runtime, verdict: 'deny' })}>See why it was denied.</Link>
              ) : (
                'Nothing to run: a request that matches a route, and is within the scope of the proof.'
              )}
            </p>
          </Step>
        </ol>
        <div class="stack">
          <Card title="Your names">
            <form
              class="stack"
              onSubmit={(event) => event.preventDefault()}
              onChange={() => setParams({ ...names, route: params.get('route') })}
            >
              <TextField label="Runtime" mono value={runtime} onInput={setRuntime} maxLength={64} />
              <TextField label="Agent" mono value={agent} onInput={setAgent} maxLength={64} />
              <TextField label="Workspace" mono value={workspace} onInput={setWorkspace} maxLength={64} />
            </form>
            {route === null ? null : (
              <div class="more">
                <SelectField
                  label="What it is to do first"
                  value={route.id}
                  options={(routes.data ?? []).map((one) => [one.id, `${one.id}: ${exampleOf(one).method}`])}
                  onChange={(id) => setParams({ ...names, route: id })}
                />
              </div>
            )}
            <p class="small soft more">
              Lower case letters, digits, dots, dashes and underscores. Choose names that stay: decisions are
              found by them.
            </p>
          </Card>
          {[asked, routes].map(({ error, reload }) =>
            error === null ? null : <Failed key={error.message} error={error} retry={reload} />,
          )}
          <Card title="More">
            <ul class="stack tight small">
              <li>
                <a href="/docs/installation">Install the command line</a>
              </li>
              <li>
                <a href="/docs/quick-start">Quick start</a>
              </li>
              <li>
                <a href="/docs">All of the documentation</a>
              </li>
            </ul>
            <p class="small soft more">
              In CI nobody approves: put an <Link to="/keys">API key</Link> into <code>LEMMA_API_KEY</code>{' '}
              instead of signing in.
            </p>
          </Card>
        </div>
      </div>
    </Page>
  );
}

interface Names {
  readonly runtime: string;
  readonly agent: string;
  readonly workspace: string;
}

function connectCommand(base: string, { runtime, agent, workspace }: Names, route: Route | null): string {
  const words = ['lemma firewall-connect', `--api-base ${base}`, '--no-start'];
  words.push(
    `--runtime-id ${word(runtime)}`,
    `--agent-id ${word(agent)}`,
    `--workspace-id ${word(workspace)}`,
  );
  for (const scope of route?.scope ?? []) words.push(`--scope ${word(scope)}`);
  if (route !== null) words.push(`--audience ${word(route.audience)}`);
  return words.join(' ');
}

/** By the session of the first step, about a request that has the credential of the second. */
function requestCommand(base: string, runtime: string, route: Route | null): string {
  const { method, url } =
    route === null ? { method: 'GET', url: 'https://api.example.com/' } : exampleOf(route);
  const token = `sed -n 's/.*"token": "\\(.*\\)".*/Authorization: Bearer \\1/p' ~/.lemma/session.json`;
  // What printf would read as a place for an argument stands twice.
  const body = `{"method":"${method}","url":"${url.replaceAll('%', '%%')}","headers":{"x-lemma-credential":"%s"}}`;
  const asked = `printf ${word(body)} "$(cat ~/.lemma/${word(runtime)}.credential)"`;
  const path = `${base}/api/wallet/runtimes/${encodeURIComponent(runtime)}/authorize`;
  return `${asked} | curl -s ${word(path)} -H "$(${token})" -H 'content-type: application/json' -d @-`;
}

interface StepProps {
  readonly n: number;
  readonly done: boolean;
  readonly title: string;
  readonly children: ComponentChildren;
}

function Step({ n, done, title, children }: StepProps) {
  return (
    <li class={done ? 'done' : ''}>
      <span class="knot" aria-hidden="true">
        {done ? <Icon name="check" /> : n}
      </span>
      <div class="card">
        <div class="body stack tight">
          <div class="row between">
            <h2>{title}</h2>
            <span role="status">{done ? <Badge tone="allow">seen</Badge> : <Badge>waiting</Badge>}</span>
          </div>
          {children}
        </div>
      </div>
    </li>
  );
}

const ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const PLAIN = /^[a-z0-9][\w.:/-]*$/i;

/** What a shell takes as one word, and as nothing else. */
function word(text: string): string {
  return PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Whether a command line acts for whoever looks: its token is listed beside his API keys. */
async function signedInBy({ may, operator }: Me, signal: AbortSignal): Promise<boolean> {
  if (!may('api_keys.read')) return false;
  const query = { limit: 1000 };
  const { api_keys: keys } = await get<{ readonly api_keys: readonly ApiKeyItem[] }>(
    '/api/wallet/api-keys',
    query,
    signal,
  );
  return keys.some(({ kind, operator_id }) => kind === 'device' && operator_id === operator.id);
}

async function look(runtime: string, me: Me, signal: AbortSignal): Promise<Seen> {
  const signedIn = await signedInBy(me, signal);
  if (!ID.test(runtime)) return { ...NOTHING, signedIn };
  const path = '/api/wallet/runtimes';
  const detail = await get<RuntimeDetail>(`${path}/${runtime}`, {}, signal).catch((error: unknown) => {
    if (error instanceof ApiError && error.code === 'not_found') return null;
    throw error;
  });
  if (detail === null) return { ...NOTHING, signedIn };
  const decisions = async (verdict: string | null) => {
    const query = { runtime, verdict, limit: 1 };
    const found = await get<{ readonly decisions: readonly DecisionRecord[] }>(
      `${path}/decisions`,
      query,
      signal,
    );
    return found.decisions.length > 0;
  };
  const allowed = await decisions('allow');
  return {
    signedIn,
    registered: true,
    proven: detail.proofs.length > 0,
    decided: allowed || (await decisions(null)),
    allowed,
  };
}
