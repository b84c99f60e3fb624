import { useState } from 'preact/hooks';
import { PROFILES, type Profile } from '../../schema/common.ts';
import type { PolicyAct, PolicyBundle, PolicyHistory, PolicyShadow } from '../lib/answers.ts';
import { get, post } from '../lib/api.ts';
import { shortDigest } from '../lib/format.ts';
import { useDoing, useQuery } from '../lib/query.ts';
import { Link, setParams, usePlace } from '../lib/router.tsx';
import { useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Confirm } from '../ui/confirm.tsx';
import { TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Empty, Loaded, Notice, Problem } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { Tabs } from '../ui/tabs.tsx';
import { Time } from '../ui/time.tsx';
import { toast } from '../ui/toasts.tsx';
import { SHADOW, ShadowCard } from './policy-shadow.tsx';
import { SourceCard } from './policy-source.tsx';
import { TestsBadge } from './policy-tests.tsx';

const SHADOW_MS = 5000;

export function PoliciesPage() {
  const { params } = usePlace();
  const asked = params.get('profile');
  const profile = PROFILES.find((one) => one === asked) ?? PROFILES[0];
  const { may } = useMe();
  const shadow = useQuery(
    may('policies.impact') ? 'shadow' : null,
    (signal) => get<PolicyShadow>(SHADOW, {}, signal),
    SHADOW_MS,
  );
  const history = useQuery('history', (signal) =>
    get<PolicyHistory>('/api/wallet/policies/history', {}, signal),
  );
  return (
    <Page
      title="Policies"
      about="Signed bundles of Rego, one in force for each profile. Every decision names the revision that made it."
    >
      <Tabs
        label="Profile"
        tabs={PROFILES.map((id) => ({ id, name: id }))}
        chosen={profile}
        onChoose={(id) => setParams({ profile: id === PROFILES[0] ? null : id })}
      >
        <Loaded asked={history}>
          {({ bundles, acts, source }) => (
            <div class="stack loose">
              <Revisions
                profile={profile}
                bundles={bundles.filter(({ name }) => name === profile)}
                acts={acts[profile] ?? []}
                shadow={shadow.data}
                onChanged={history.reload}
                onShadowed={shadow.reload}
              />
              {may('policies.impact') ? <ShadowCard asked={shadow} /> : null}
              {source === null ? null : <SourceCard source={source} />}
            </div>
          )}
        </Loaded>
      </Tabs>
    </Page>
  );
}

interface RevisionsProps {
  readonly profile: Profile;
  readonly bundles: readonly PolicyBundle[];
  readonly acts: readonly PolicyAct[];
  /** Null where it is not known. */
  readonly shadow: PolicyShadow | null;
  readonly onChanged: () => void;
  readonly onShadowed: () => void;
}

function Revisions({ profile, bundles, acts, shadow, onChanged, onShadowed }: RevisionsProps) {
  const { may } = useMe();
  const shadowing = useDoing();
  const inShadow = new Set(shadow?.bundles.map(({ sha256 }) => sha256));
  /** In the place of the one of its profile. */
  const addShadow = async ({ name, sha256, revision }: PolicyBundle) => {
    const others = (shadow?.bundles ?? []).filter((one) => one.name !== name).map((one) => one.sha256);
    const done = await shadowing.run(async () => void (await post(SHADOW, { bundles: [...others, sha256] })));
    if (!done) return;
    toast(`${revision} is shadowed`);
    onShadowed();
  };
  const [chosen, setChosen] = useState<PolicyBundle | null>(null);
  const active = bundles.find((one) => one.active);
  const sorted = [...bundles].sort((a, b) => b.serial - a.serial);
  if (bundles.length === 0)
    return (
      <div class="card">
        <Empty title={`No revision of ${profile}`} icon="policies">
          <p>
            Publish one: <code>lemma policy publish</code>
          </p>
        </Empty>
      </div>
    );
  return (
    <div class="stack loose">
      <Card title="Revisions" flush>
        <Table
          label="Revisions"
          rows={sorted}
          keyOf={({ sha256 }) => sha256}
          columns={[
            {
              name: 'Revision',
              cell: ({ revision, active: inForce, sha256 }) => (
                <>
                  <span class="row">
                    <strong class="break">{revision}</strong>
                    {inForce ? <Badge tone="allow">in force</Badge> : null}
                    {inShadow.has(sha256) ? <Badge tone="accent">in the shadow</Badge> : null}
                  </span>
                  <code class="small soft" title={sha256}>
                    {shortDigest(sha256)}
                  </code>
                </>
              ),
            },
            { name: 'Serial', right: true, cell: ({ serial }) => <span class="num">{serial}</span> },
            {
              name: 'Put into force',
              cell: ({ activated_at }) =>
                activated_at === null ? <span class="soft">never</span> : <Time at={activated_at} />,
            },
            {
              name: 'Tests',
              cell: ({ sha256, tests }) => (
                <Link to={`/policies/tests?sha256=${sha256}`}>
                  <TestsBadge tests={tests} />
                </Link>
              ),
            },
            { name: 'Author', cell: ({ published }) => <Author published={published} /> },
            {
              name: '',
              right: true,
              cell: (bundle) =>
                bundle.active || active === undefined ? null : (
                  <span class="row end">
                    <Link to={`/policies/diff?from=${active.sha256}&to=${bundle.sha256}`} class="button">
                      Diff
                    </Link>
                    {may('policies.impact') ? (
                      <Link to={`/policies/impact?sha256=${bundle.sha256}`} class="button">
                        Impact
                      </Link>
                    ) : null}
                    {may('platform.policies') && shadow !== null && !inShadow.has(bundle.sha256) ? (
                      <Button disabled={shadowing.busy} onClick={() => void addShadow(bundle)}>
                        Shadow
                      </Button>
                    ) : null}
                    {may('platform.policies') ? (
                      <Button
                        kind={bundle.serial > active.serial ? 'primary' : 'danger'}
                        onClick={() => setChosen(bundle)}
                      >
                        {bundle.serial > active.serial ? 'Activate' : 'Roll back'}
                      </Button>
                    ) : null}
                  </span>
                ),
            },
          ]}
        />
        {shadowing.error === null ? null : (
          <div class="pad">
            <Problem error={shadowing.error} />
          </div>
        )}
      </Card>
      <Card title="What operators did" flush>
        {acts.length === 0 ? (
          <Empty title="Nothing yet" icon="audit">
            <p>The revision in force came with the service.</p>
          </Empty>
        ) : (
          <Table
            label="What operators did"
            rows={acts}
            keyOf={({ at, sha256 }) => `${at} ${sha256}`}
            columns={[
              { name: 'When', cell: ({ at }) => <Time at={at} /> },
              {
                name: 'What',
                cell: ({ act, revision }) => (
                  <span>
                    <strong>{act === 'activate' ? 'activated' : 'rolled back to'}</strong> {revision}
                  </span>
                ),
              },
              { name: 'By', cell: ({ by }) => by ?? <span class="soft">–</span> },
              {
                name: 'Why',
                cell: ({ reason }) => <span class="break">{reason ?? <span class="soft">–</span>}</span>,
              },
            ]}
          />
        )}
      </Card>
      {chosen === null || active === undefined ? null : (
        <ForceDialog bundle={chosen} active={active} onClose={() => setChosen(null)} onDone={onChanged} />
      )}
    </div>
  );
}

/** Whoever brought it; of a commit, who it says that wrote it. */
function Author({ published }: Pick<PolicyBundle, 'published'>) {
  if (published === null) return <span class="soft">not known</span>;
  const { by, author, commit } = published;
  return (
    <>
      <span class="break">{author ?? by}</span>
      {commit === null ? null : <code class="small soft block">{commit.slice(0, 12)}</code>}
    </>
  );
}

/** What whoever activates should know; nothing where the tests hold. */
function Untested({ tests }: Pick<PolicyBundle, 'tests'>) {
  if (tests === null)
    return (
      <Notice tone="warn">
        <span>Its tests are not known: nobody ran them here.</span>
      </Notice>
    );
  if (tests.failed === 0) return null;
  return (
    <Notice tone="deny">
      <span>{tests.failed} of its tests failed: it does not come into force.</span>
    </Notice>
  );
}

interface ForceDialogProps {
  readonly bundle: PolicyBundle;
  readonly active: PolicyBundle;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

/** Activation or, to a lower serial, rollback. */
function ForceDialog({ bundle, active, onClose, onDone }: ForceDialogProps) {
  const { may } = useMe();
  const [reason, setReason] = useState('');
  const back = bundle.serial < active.serial;
  const force = async () => {
    const why = reason.trim() === '' ? {} : { reason: reason.trim() };
    if (back)
      await post('/api/wallet/policies/rollback', { profile: bundle.name, to: bundle.sha256, ...why });
    else await post('/api/wallet/policies/activate', { bundles: [bundle.sha256], ...why });
    onDone();
  };
  return (
    <Confirm
      title={`${back ? 'Roll back to' : 'Activate'} ${bundle.revision}?`}
      act={back ? 'Roll back' : 'Activate'}
      done={`${bundle.revision} is in force for ${bundle.name}`}
      danger={back}
      onClose={onClose}
      run={force}
    >
      <p>
        From the next request on, <strong>{bundle.name}</strong> is decided by {bundle.revision} (serial{' '}
        {bundle.serial}) in place of {active.revision} (serial {active.serial}).
      </p>
      <p class="small">
        <Link to={`/policies/diff?from=${active.sha256}&to=${bundle.sha256}`}>See what changes first</Link>
        {may('policies.impact') ? (
          <>
            , or{' '}
            <Link to={`/policies/impact?sha256=${bundle.sha256}`}>what it would have decided otherwise</Link>
          </>
        ) : null}
      </p>
      {back ? null : <Untested tests={bundle.tests} />}
      <TextField
        label="Reason"
        hint="Kept with the event"
        value={reason}
        onInput={setReason}
        maxLength={500}
        autofocus
      />
    </Confirm>
  );
}
