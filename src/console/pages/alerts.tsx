import type { Alert, AlertSummary } from '../lib/answers.ts';
import { alertPath } from '../lib/decisions.ts';
import type { Asked } from '../lib/query.ts';
import { Link } from '../lib/router.tsx';
import { Badge, type Tone } from '../ui/badge.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded } from '../ui/states.tsx';
import { Time } from '../ui/time.tsx';

const TONES: Readonly<Record<Alert['severity'], Tone>> = { critical: 'deny', warning: 'warn', info: 'plain' };

export function AlertsPage({ alerts }: { readonly alerts: Asked<AlertSummary> }) {
  return (
    <Page
      title="Alerts"
      about="What is not as usual, the gravest first. Each leads to the decisions behind it."
    >
      <Loaded asked={alerts}>
        {({ alerts: all, baseline_minutes }) =>
          all.length === 0 ? (
            <div class="card">
              <Empty title="Nothing needs a look" icon="check">
                <p>
                  {baseline_minutes < 10
                    ? `What is usual is still being learned: ${baseline_minutes} of 10 minutes with decisions are counted, and no spike is told until then.`
                    : `Denials are held against the last ${baseline_minutes} minutes with decisions.`}
                </p>
              </Empty>
            </div>
          ) : (
            <ul class="stack">
              {all.map((alert) => (
                <li
                  key={`${alert.kind} ${alert.since} ${alert.message}`}
                  class={`card alert ${alert.severity}`}
                >
                  <div class="body stack tight">
                    <div class="row">
                      <Badge tone={TONES[alert.severity]}>{alert.severity}</Badge>
                      <h2>{alert.kind.replaceAll('_', ' ')}</h2>
                      <span class="soft small push">
                        since <Time at={alert.since} form="relative" />
                      </span>
                    </div>
                    <p class="break">{alert.message}</p>
                    <p class="small">
                      <Link to={alertPath(alert)}>Show its decisions</Link>
                    </p>
                  </div>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Page>
  );
}
