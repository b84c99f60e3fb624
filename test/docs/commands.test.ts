import { equal } from 'node:assert/strict';
import { COMMANDS } from '../../src/cli/commands.ts';
import { PAGES } from './pages.ts';

/** As the page on the command line is to list them. */
function commandTable(): string {
  const rows = COMMANDS.flatMap((one) =>
    'entries' in one
      ? one.entries.map(({ name, summary }) => `| \`lemma ${one.name} ${name}\` | ${summary} |`)
      : `| \`lemma ${[one.name, ...(one.aliases ?? [])].join('`, `lemma ')}\` | ${one.summary} |`,
  );
  return ['| command | what |', '|---|---|', ...rows].join('\n');
}

describe('the page on the command line', () => {
  it('lists every command, as the program itself describes it', () => {
    const page = PAGES.find(({ name }) => name === 'cli')?.text ?? '';
    const [, table = ''] = /^## The commands\n\n(.*?)\n\n/ms.exec(page) ?? [];
    equal(table, commandTable());
  });
});
