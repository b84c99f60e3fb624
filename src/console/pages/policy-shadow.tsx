import type { PolicyShadow } from '../lib/answers.ts';
import { post } from '../lib/api.ts';
import { countText } from '../lib/format.ts';
import { type Asked, useDoing } from '../lib/query.ts';
import { useMe } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Empty, Loaded, Notice, Problem } from '../ui/states.tsx';
import { Time } from '../ui/time.tsx';
import { toast } from '../ui/toasts.tsx';
import { ChangeCounts, Changes } from './policy-changes.tsx';

export const SHADOW = '/api/wallet/policies/shadow';
const SHOWN = 50;

/** Revisions that are evaluated beside those in force, and what they would have decided otherwise. */
export function ShadowCard({ asked }: { readonly asked: Asked<PolicyShadow> }) {
  return (
    <Card title="In the shadow" side={<span class="small soft">of all profiles; nothing of it decides</span>}>
      <Loaded asked={asked}>{(shadow) => <Shadowed shadow={shadow} onChanged={asked.reload} />}</Loaded>
    </Card>
  );
}

interface ShadowedProps {
  readonly shadow: PolicyShadow;
  readonly onChanged: () => void;
}

function Shadowed({ shadow: { bundles, counts, changes }, onChanged }: ShadowedProps) {
  const { may } = useMe();
  const { busy, error, run } = useDoing();
  if (bundles.length === 0)
    return (
      <Empty title="Nothing is shadowed" icon="policies">
        <p>
          A revision in the shadow is asked after each answer, and what it would have said is counted.{' '}
          {may('platform.policies') ? 'Publish one, then press Shadow beside it.' : null}
        </p>
      </Empty>
    );
  const end = async (sha256: string, revision: string) => {
    const others = bundles.filter((one) => one.sha256 !== sha256).map((one) => one.sha256);
    if (!(await run(async () => void (await post(SHADOW, { bundles: others }))))) return;
    toast(`${revision} is shadowed no more`);
    onChanged();
  };
  return (
    <div class="stack">
      <ul class="stack tight" aria-label="Shadowed revisions">
        {bundles.map(({ name, revision, sha256, since, by }) => (
          <li key={sha256} class="row between">
            <span class="row">
              <Badge tone="accent" bare>
                {name}
              </Badge>
              <strong class="break">{revision}</strong>
              <span class="small soft">
                since <Time at={since} />, by {by}
              </span>
            </span>
            {may('platform.policies') ? (
              <Button disabled={busy} onClick={() => void end(sha256, revision)}>
                End its shadow
              </Button>
            ) : null}
          </li>
        ))}
      </ul>
      <Problem error={error} />
      <ChangeCounts counts={counts} />
      {counts.not_reproduced + counts.dropped === 0 ? null : (
        <Notice tone="warn">
          <span>
            {countText(counts.not_reproduced)} did not give their recorded result again,{' '}
            {countText(counts.dropped)} were passed over.
          </span>
        </Notice>
      )}
      {changes.length === 0 ? null : (
        <Changes label="Latest changes of the shadow" changes={changes.slice(0, SHOWN)} />
      )}
    </div>
  );
}
