import assert from 'node:assert/strict';
import { impactMarkdown } from '../../src/cli/impact-markdown.ts';
import type { Change, Impact } from '../../src/schema/impact.ts';

const GITHUB_AT_MOST = 65_536;
const HOSTILE = '`<img src=x onerror=alert(1)> |@everyone| [x](javascript:1)\n# head\u202e\u2028';

const zero = { newly_allowed: 0, newly_denied: 0, reason_changed: 0, effects_changed: 0, error: 0 };

function change(n: number, name: string): Change {
  const said = { allow: false, reason: name, reasons: [name], error: null };
  return {
    kind: n % 2 === 0 ? 'newly_denied' : 'newly_allowed',
    decision_id: `dec_${n}`,
    time: n,
    org: 'acme',
    env: 'prod',
    profile: 'low',
    route: name,
    runtime: name,
    observed: false,
    was_by: 'a',
    now_by: 'b',
    was: { ...said, allow: n % 2 === 0 },
    now: { ...said, allow: n % 2 === 1 },
    members: ['allow'],
  };
}

function impactWith(changes: readonly Change[], name: string): Impact {
  const group = { name, counts: { ...zero, newly_allowed: 1 }, decision_ids: ['dec_1'] };
  return {
    candidates: [{ name: 'low', revision: 'low-2', sha256: 'b' }],
    records: changes.length,
    reproduced: { equal: changes.length, not_equal: 0, differing: [] },
    counts: { ...zero, same: 0, not_comparable: 0, newly_allowed: changes.length },
    not_comparable: [],
    groups: { route: [group], runtime: [group], rule: [group] },
    changes,
    not_listed: 0,
  };
}

/** What a reader of Markdown sees outside of code spans. */
function outside(markdown: string): string {
  return markdown.replaceAll(/`[^`\n]*`/g, '');
}

describe('the comment for a pull request', () => {
  it('keeps hostile names within code spans, each in its own cell', () => {
    const plain = impactMarkdown(impactWith([change(1, 'name')], 'name'), 'a', 'lemma');
    const hostile = impactMarkdown(impactWith([change(1, HOSTILE)], HOSTILE), HOSTILE, 'lemma');
    assert.equal(outside(hostile), outside(plain));
    assert.deepEqual(
      hostile.split('\n').map((line) => line.split('|').length),
      plain.split('\n').map((line) => line.split('|').length),
    );
  });

  it('shows nothing that cannot be seen', () => {
    const hostile = impactMarkdown(impactWith([change(1, HOSTILE)], HOSTILE), 'a', 'lemma');
    assert.doesNotMatch(hostile, /[\u202e\u2028]/);
    assert.match(hostile, /\\u\{202e\}/);
  });

  it('fits into a comment whatever changes, and shows what is newly allowed before the rest', () => {
    const many = Array.from({ length: 20_000 }, (_, n) => change(n, HOSTILE.repeat(20)));
    const markdown = impactMarkdown({ ...impactWith(many, HOSTILE), not_listed: 7 }, 'a', 'lemma');
    const shown = markdown.match(/^\| newly allowed \| `dec_/gm)?.length ?? 0;
    assert.match(markdown, new RegExp(`and ${many.length - shown + 7} more`));
    assert.ok(markdown.length <= GITHUB_AT_MOST, String(markdown.length));
    assert.match(markdown, /\| newly allowed \| `dec_1` \|/);
    assert.doesNotMatch(markdown, /\| newly denied \| `dec_/);
  });

  it('says which decisions do not reproduce, and nothing else', () => {
    const differing = [{ decision_id: 'dec_7', revision: 'low-1', why: 'it gives x_own now' }];
    const impact = { ...impactWith([], 'a'), reproduced: { equal: 0, not_equal: 1, differing } };
    const markdown = impactMarkdown(impact, 'a', 'lemma');
    assert.match(markdown, /Not compared/);
    assert.match(markdown, /`dec_7`/);
    assert.doesNotMatch(markdown, /newly allowed/);
  });
});
