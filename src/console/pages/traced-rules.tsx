import type { ComponentChildren } from 'preact';
import { decidingRules } from '../../pdp/traced-rules.ts';
import type { TracedRule } from '../../schema/api-explain.ts';
import type { Explanation } from '../../schema/explanation.ts';
import type { Asked } from '../lib/query.ts';
import { Badge } from '../ui/badge.tsx';
import { Facts } from '../ui/facts.tsx';
import { Icon } from '../ui/icons.tsx';
import { Lines } from '../ui/lines.tsx';
import { Loading, Notice, Problem } from '../ui/states.tsx';

export interface TracedRulesProps {
  readonly asked: Asked<Explanation>;
  /** What is known without OPA's evaluator, where it has no answer. */
  readonly children: ComponentChildren;
}

/** The rules of a decision as OPA's evaluator met them: what decided first, then the others. */
export function TracedRules({ asked: { data, error }, children }: TracedRulesProps) {
  if (data === null)
    return error === null ? (
      <Loading />
    ) : (
      <div class="stack">
        <Problem error={error} />
        {children}
      </div>
    );
  const { trace, record } = data;
  if (trace?.rules === null || trace?.rules === undefined)
    return (
      <div class="stack">
        {trace?.error === null || trace?.error === undefined ? null : (
          <Notice>
            <span>No rule by rule: {trace.error}</span>
          </Notice>
        )}
        {children}
      </div>
    );
  const deciding = decidingRules(trace, record);
  const others = trace.rules.filter((rule) => !deciding.includes(rule));
  return (
    <div class="stack">
      <Evaluated by={trace.evaluator} traced={trace.traced} />
      <Listed label="Rules that decided" rules={deciding} open={3} />
      {others.length === 0 ? null : (
        <details>
          <summary class="small">
            {others.length} other {others.length === 1 ? 'rule was' : 'rules were'} looked at
          </summary>
          <Listed label="Other rules" rules={others} open={0} />
        </details>
      )}
      {trace.cut ? <p class="small soft">There were more rules than are shown.</p> : null}
    </div>
  );
}

function Evaluated({ by, traced }: { readonly by: string | null; readonly traced: string | null }) {
  if (traced === 'different')
    return (
      <Notice tone="deny">
        <span>
          {by ?? 'OPA'} comes to another result than the record: what follows is not how it was decided.
        </span>
      </Notice>
    );
  return (
    <p class="small soft">
      As {by ?? 'OPA'} evaluated it once more{traced === 'equal' ? ', with the recorded result' : ''}.
    </p>
  );
}

interface ListedProps {
  readonly label: string;
  readonly rules: readonly TracedRule[];
  /** So many of the first are open. */
  readonly open: number;
}

function Listed({ label, rules, open }: ListedProps) {
  return (
    <ol class="traced" aria-label={label}>
      {rules.map((rule, n) => (
        <li key={`${rule.file} ${rule.line_from} ${rule.path}`}>
          <Rule rule={rule} open={n < open} />
        </li>
      ))}
    </ol>
  );
}

const OUTCOMES = {
  fired: ['accent', 'fired'],
  nearly: ['warn', 'nearly'],
  failed: ['plain', 'failed'],
} as const;

function Rule({ rule, open }: { readonly rule: TracedRule; readonly open: boolean }) {
  const { path, outcome, file, line_from: from, line_to: to, source, gives, at, would, values } = rule;
  const [tone, said] = OUTCOMES[outcome];
  return (
    <details open={open}>
      <summary>
        <Icon name="down" size={14} />
        <Badge tone={tone}>{said}</Badge>
        <code class="break">{path.replace(/^data\.lemma\./, '')}</code>
        {gives === null ? null : <code class="reason">{gives}</code>}
        <code class="small soft break push">
          {file}:{from}
        </code>
      </summary>
      <div class="stack tight">
        <Lines
          text={source}
          from={from}
          hits={outcome === 'fired' ? new Set() : new Set([at.line])}
          label={`${path}, lines ${from} to ${to}`}
        />
        {outcome === 'fired' ? null : (
          <p class="small">
            Line {at.line} did not hold: <code class="break">{at.text}</code>
          </p>
        )}
        {would === null ? null : <p class="small">{wouldText(would)}</p>}
        <Facts
          rows={values.map(({ line, column, text, value }) => [
            <code key={`${line}:${column}`}>{text}</code>,
            value === null ? (
              <span key="value" class="soft">
                undefined
              </span>
            ) : (
              <code key="value" class="break">
                {value}
              </code>
            ),
          ])}
        />
      </div>
    </details>
  );
}

function wouldText({ given, allow, reasons }: NonNullable<TracedRule['would']>): string {
  const held = given === 'at' ? 'Had it held' : 'Had it held, and the rest of the rule';
  return `${held}, the policy would have ${allow ? 'allowed' : `denied: ${reasons.join(', ')}`}.`;
}
