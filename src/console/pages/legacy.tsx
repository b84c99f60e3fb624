import { useState } from 'preact/hooks';
import type { AlertSummary } from '../lib/answers.ts';
import { get, put } from '../lib/api.ts';
import { alertPath } from '../lib/decisions.ts';
import { countText } from '../lib/format.ts';
import { type Asked, useDoing, useQuery } from '../lib/query.ts';
import { Link } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import type { SettingsAnswer } from '../lib/settings.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded, Problem } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { toast } from '../ui/toasts.tsx';

const ENV = '/api/wallet/settings/env';

export function LegacyPage({ alerts }: { readonly alerts: Asked<AlertSummary> }) {
  const { may } = useMe();
  const settings = useQuery(may('settings.read') ? 'env' : null, (signal) =>
    get<SettingsAnswer>(ENV, {}, signal),
  );
  return (
    <Page
      title="Legacy tokens"
      about="Bearer tokens that stand in for a proof where a route cannot take one yet. They are meant to end."
    >
      <div class="split">
        <Card title="Who uses them" side={<span class="soft small">last hour</span>} flush>
          <Loaded asked={alerts}>
            {({ alerts: all }) => {
              const used = all.filter(({ kind }) => kind === 'legacy_token');
              if (used.length === 0)
                return (
                  <Empty title="Nobody" icon="check">
                    <p>No decision of the last hour was about a legacy token.</p>
                  </Empty>
                );
              return (
                <Table
                  label="Runtimes with legacy tokens"
                  rows={used}
                  keyOf={({ message }) => message}
                  columns={[
                    {
                      name: 'Runtime',
                      cell: (alert) => {
                        const id = alert.facts.runtime_id;
                        return typeof id === 'string' ? <Link to={`/runtimes/${id}`}>{id}</Link> : 'others';
                      },
                    },
                    {
                      name: 'Decisions',
                      right: true,
                      cell: (alert) => (
                        <Link to={alertPath(alert)}>{countText(Number(alert.facts.count ?? 0))}</Link>
                      ),
                    },
                    { name: 'Since', right: true, cell: ({ since }) => <Time at={since} form="relative" /> },
                  ]}
                />
              );
            }}
          </Loaded>
        </Card>
        <div class="stack">
          {may('settings.read') ? <Sunset settings={settings} /> : null}
          <Card title="The way to their end">
            <ol class="steps">
              <li>
                <strong>Find who still uses them.</strong> The list beside, and each runtime's decisions.
              </li>
              <li>
                <strong>Send the proof itself.</strong> The client puts <code>X-Lemma-Credential</code> where
                the token was; routes take it without a change.
              </li>
              <li>
                <strong>Say when.</strong> From that moment on none is issued, and none outlives it.
              </li>
              <li>
                <strong>Close the routes.</strong> Take their ids out of <code>legacy_routes</code> in the
                profile's data.
              </li>
            </ol>
            <p class="small more">
              <a href="/docs/authentication-api">How tokens and proofs are sent</a>
            </p>
          </Card>
        </div>
      </div>
    </Page>
  );
}

function Sunset({ settings }: { readonly settings: Asked<SettingsAnswer> }) {
  const { may, operator } = useMe();
  const [open, setOpen] = useState(false);
  return (
    <Card
      title="Their last day"
      side={
        may('settings.write') && settings.data !== null ? (
          <Button onClick={() => setOpen(true)}>
            {settings.data.settings.legacy_sunset === undefined ? 'Set it' : 'Change it'}
          </Button>
        ) : undefined
      }
    >
      <Loaded asked={settings} lines={1}>
        {(answer) => {
          const { legacy_sunset: sunset } = answer.settings;
          return (
            <>
              {sunset === undefined ? (
                <p class="row">
                  <Badge tone="warn">not set</Badge>
                  <span class="soft small">
                    In {operator.env}, tokens are issued wherever a policy lets one through.
                  </span>
                </p>
              ) : (
                <p class="row">
                  <Badge tone={Date.parse(sunset) < Date.now() ? 'allow' : 'accent'}>
                    {Date.parse(sunset) < Date.now() ? 'past' : 'set'}
                  </Badge>
                  <Time at={sunset} /> <span class="soft small">(</span>
                  <Time at={sunset} form="relative" />
                  <span class="soft small">)</span>
                </p>
              )}
              {open ? (
                <SunsetDialog
                  answer={answer}
                  onClose={() => setOpen(false)}
                  onDone={() => {
                    setOpen(false);
                    settings.reload();
                  }}
                />
              ) : null}
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}

interface SunsetDialogProps {
  readonly answer: SettingsAnswer;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

function SunsetDialog({ answer, onClose, onDone }: SunsetDialogProps) {
  const { busy, error, run } = useDoing();
  const { legacy_sunset: _, ...others } = answer.settings;
  const [at, setAt] = useState(localOf(answer.settings.legacy_sunset));
  const save = async (sunset: string | null) => {
    const settings = sunset === null ? others : { ...others, legacy_sunset: new Date(sunset).toISOString() };
    if (!(await run(async () => void (await put(ENV, { settings, version: answer.version }))))) return;
    toast(sunset === null ? 'Legacy tokens have no last day' : 'The last day of legacy tokens is set');
    onDone();
  };
  return (
    <Dialog
      title="The last day of legacy tokens"
      onClose={onClose}
      onSubmit={() => void save(at)}
      foot={
        <>
          {answer.settings.legacy_sunset === undefined ? null : (
            <Button kind="danger" disabled={busy} onClick={() => void save(null)}>
              Take it away
            </Button>
          )}
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={busy || at === ''}>
            Set it
          </Button>
        </>
      }
    >
      <TextField
        label="From when on none is issued, and none outlives it"
        hint="Your own time"
        type="datetime-local"
        value={at}
        onInput={setAt}
        autofocus
      />
      <Problem error={error} />
    </Dialog>
  );
}

/** As `datetime-local` wants it. */
function localOf(time: string | undefined): string {
  if (time === undefined) return '';
  const at = new Date(time);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
