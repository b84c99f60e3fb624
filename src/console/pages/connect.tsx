import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { DecisionRecord } from '../../schema/decision.ts';
import type { RuntimeDetail } from '../lib/answers.ts';
import { ApiError, get } from '../lib/api.ts';
import { feedPath } from '../lib/decisions.ts';
import { useQuery } from '../lib/query.ts';
import { Link, setParams, usePlace } from '../lib/router.tsx';
import { Badge } from '../ui/badge.tsx';
import { Card } from '../ui/card.tsx';
import { Code } from '../ui/code.tsx';
import { TextField } from '../ui/field.tsx';
import { Icon } from '../ui/icons.tsx';
import { Page } from '../ui/page.tsx';
import { Failed } from '../ui/states.tsx';

const LOOK_MS = 2000;

interface Seen {
  readonly registered: boolean;
  readonly proven: boolean;
  readonly decided: boolean;
  readonly allowed: boolean;
}

const NOTHING: Seen = { registered: false, proven: false, decided: false, allowed: false };

/** From nothing to a decision: each step is green once the control plane has seen it. */
export function ConnectPage() {
  const { params } = usePlace();
  const [runtime, setRuntime] = useState(params.get('runtime') ?? 'my-runtime');
  const [agent, setAgent] = useState(params.get('agent') ?? 'my-agent');
  const [workspace, setWorkspace] = useState(params.get('workspace') ?? 'prod');
  const asked = useQuery(`connect ${runtime}`, (signal) => look(runtime, signal), LOOK_MS);
  const { registered, proven, decided, allowed } = asked.data ?? NOTHING;
  const base = location.origin;
  const ids = `--runtime-id ${word(runtime)} --agent-id ${word(agent)} --workspace-id ${word(workspace)}`;
  return (
    <Page
      title="Connect a runtime"
      about="Run these where your agent runs. Each step turns green as soon as this control plane has seen it."
    >
      <div class="explain">
        <ol class="walk">
          <Step n={1} done={registered} title="Sign in from the command line">
            <Code label="sign-in command" text={`lemma session start --api-base ${base}`} wrap />
            <p class="soft small">
              It shows a code; approve it in your wallet. For CI: <code>lemma login</code> with an{' '}
              <Link to="/keys">API key</Link>.
            </p>
          </Step>
          <Step n={2} done={registered && proven} title="Register the runtime and get its proof">
            <Code label="connect command" text={`lemma firewall-connect --api-base ${base} ${ids}`} wrap />
            <p class="soft small">
              Its private key is made there, and stays there.{' '}
              {registered ? (
                <Link to={`/runtimes/${encodeURIComponent(runtime)}`}>It is registered.</Link>
              ) : null}
            </p>
          </Step>
          <Step n={3} done={decided} title="Send a first request">
            <Code
              label="request"
              text={
                'curl -s http://127.0.0.1:8787/ -H "X-Lemma-Credential: $(cat .lemma/' +
                word(runtime) +
                '.credential)"'
              }
              wrap
            />
            <p class="soft small">
              Or let your agent do what it does, through the firewall on port 8787.{' '}
              {decided ? <Link to={feedPath({ runtime })}>Its decisions are here.</Link> : null}
            </p>
          </Step>
          <Step n={4} done={allowed} title="See one allowed">
            <p class="soft small">
              A request that matches a route and is within the proof's scope.{' '}
              {decided && !allowed ? (
                <Link to={feedPath({ runtime, verdict: 'deny' })}>See why the others were denied.</Link>
              ) : null}
            </p>
          </Step>
        </ol>
        <div class="stack">
          <Card title="Your names">
            <form
              class="stack"
              onSubmit={(event) => event.preventDefault()}
              onChange={() => setParams({ runtime, agent, workspace })}
            >
              <TextField label="Runtime" mono value={runtime} onInput={setRuntime} maxLength={64} />
              <TextField label="Agent" mono value={agent} onInput={setAgent} maxLength={64} />
              <TextField label="Workspace" mono value={workspace} onInput={setWorkspace} maxLength={64} />
            </form>
            <p class="small soft more">
              Lower case letters, digits, dots and dashes. Choose names that stay: decisions are found by
              them.
            </p>
          </Card>
          {asked.error === null ? null : <Failed error={asked.error} retry={asked.reload} />}
          <Card title="More">
            <ul class="stack tight small">
              <li>
                <a href="/docs/quick-start">Quick start</a>
              </li>
              <li>
                <a href="/docs">All of the documentation</a>
              </li>
            </ul>
          </Card>
        </div>
      </div>
    </Page>
  );
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

/** What a shell takes as one word, and as nothing else. */
function word(id: string): string {
  return ID.test(id) ? id : `'${id.replaceAll("'", "'\\''")}'`;
}

async function look(runtime: string, signal: AbortSignal): Promise<Seen> {
  if (!ID.test(runtime)) return NOTHING;
  const path = '/api/wallet/runtimes';
  const detail = await get<RuntimeDetail>(`${path}/${runtime}`, {}, signal).catch((error: unknown) => {
    if (error instanceof ApiError && error.code === 'not_found') return null;
    throw error;
  });
  if (detail === null) return NOTHING;
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
    registered: true,
    proven: detail.proofs.length > 0,
    decided: allowed || (await decisions(null)),
    allowed,
  };
}
