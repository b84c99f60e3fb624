import type { ComponentChildren } from 'preact';
import type { AlertSummary } from './lib/answers.ts';
import { get } from './lib/api.ts';
import { type Asked, useQuery } from './lib/query.ts';
import { Link, usePlace } from './lib/router.tsx';
import { type Me, useMe } from './lib/session.ts';
import { AlertsPage } from './pages/alerts.tsx';
import { AuditPage } from './pages/audit.tsx';
import { ConnectPage } from './pages/connect.tsx';
import { DecisionsPage } from './pages/decisions.tsx';
import { ExplainPage } from './pages/explain.tsx';
import { KeysPage } from './pages/keys.tsx';
import { LegacyPage } from './pages/legacy.tsx';
import { OperatorsPage } from './pages/operators.tsx';
import { OverviewPage } from './pages/overview.tsx';
import { PoliciesPage } from './pages/policies.tsx';
import { PolicyDiffPage } from './pages/policy-diff.tsx';
import { PolicyImpactPage } from './pages/policy-impact.tsx';
import { PolicyTestsPage } from './pages/policy-tests.tsx';
import { RuntimePage } from './pages/runtime.tsx';
import { RuntimesPage } from './pages/runtimes.tsx';
import { SessionsPage } from './pages/sessions.tsx';
import { Shell } from './shell.tsx';
import { Page } from './ui/page.tsx';
import { Empty } from './ui/states.tsx';

const ALERTS_MS = 10_000;

export function Routes({ onSignOut }: { readonly onSignOut: () => void }) {
  const { path } = usePlace();
  const me = useMe();
  const alerts = useQuery(
    me.may('decisions.read') ? 'alerts' : null,
    (signal) => get<AlertSummary>('/api/wallet/runtimes/alerts/summary', {}, signal),
    ALERTS_MS,
  );
  const open = alerts.data?.alerts.filter(({ severity }) => severity !== 'info').length ?? 0;
  return (
    <Shell alerts={open} onSignOut={onSignOut}>
      {pageAt(path, me, alerts)}
    </Shell>
  );
}

function pageAt(path: string, me: Me, alerts: Asked<AlertSummary>): ComponentChildren {
  const [, room = '', id, ...rest] = path.split('/').map(decodeSafely);
  const item = rest.length === 0 ? id : undefined;
  switch (room) {
    case '':
      // Who may not see the activity begins with what he may see.
      return me.may('monitor.read') ? <OverviewPage alerts={alerts} /> : <DecisionsPage />;
    case 'decisions':
      return item === undefined ? <DecisionsPage /> : <ExplainPage key={item} id={item} />;
    case 'alerts':
      return <AlertsPage alerts={alerts} />;
    case 'runtimes':
      return item === undefined ? <RuntimesPage /> : <RuntimePage key={item} id={item} />;
    case 'policies':
      if (item === 'impact') return <PolicyImpactPage />;
      if (item === 'tests') return <PolicyTestsPage />;
      return item === 'diff' ? <PolicyDiffPage /> : <PoliciesPage />;
    case 'legacy':
      return <LegacyPage alerts={alerts} />;
    case 'connect':
      return <ConnectPage />;
    case 'operators':
      return <OperatorsPage />;
    case 'keys':
      return <KeysPage />;
    case 'sessions':
      return <SessionsPage />;
    case 'audit':
      return <AuditPage />;
    default:
      return (
        <Page title="Nothing here">
          <Empty title={`There is no page ${path}`}>
            <Link to="/">To the overview</Link>
          </Empty>
        </Page>
      );
  }
}

function decodeSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
