import { deepEqual, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COMMANDS } from '../../src/cli/commands.ts';
import { lemma } from './lemma.ts';

/** How each shell is asked, without a terminal, what it would offer after these words. */
const ASK: Record<string, (script: string, words: readonly string[]) => string[]> = {
  bash: (script, words) => [
    '-c',
    `source ${script}; COMP_WORDS=(${words.map((w) => `'${w}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _lemma; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ],
  // What _describe is given is what is shown; compdef needs the whole completion system.
  zsh: (script, words) => [
    '-fc',
    `compdef() { : }; _describe() { print -rl -- \${\${(P)2}%%:*} }; source ${script}; words=(${words.map((w) => `'${w}'`).join(' ')}); CURRENT=${words.length}; _lemma`,
  ],
  fish: (script, words) => [
    '-c',
    `source ${script}; complete -C '${words.join(' ')}' | string split -f1 \\t`,
  ],
};

describe('lemma completion', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'lemma-completion-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const [shell, ask] of Object.entries(ASK)) {
    it(`offers commands, their parts and their options in ${shell}`, async function () {
      this.timeout(30_000);
      if (spawnSync(shell, ['--version']).error !== undefined) {
        if (process.env.CI === 'true') throw new Error(`${shell} is not there`);
        console.warn(`      ${shell} is not there: not tested`);
        this.skip();
      }
      const script = join(folder, `lemma.${shell}`);
      const { code, out } = await lemma(folder, ['completion', shell]);
      deepEqual(code, 0);
      writeFileSync(script, out);
      const offered = (...words: string[]) =>
        spawnSync(shell, ask(script, words), { cwd: folder, encoding: 'utf8' })
          .stdout.split('\n')
          .filter(Boolean);

      for (const { name } of COMMANDS) ok(offered('lemma', '').includes(name), name);
      deepEqual(
        offered('lemma', 'proof', '')
          .filter((word) => !word.startsWith('lemma.'))
          .sort(),
        ['inspect', 'narrow', 'verify'],
      );
      ok(offered('lemma', 'kill', 'my-runtime', '--').includes('--key'));
      ok(offered('lemma', 'decisions', 'export', '--').includes('--format'));
    });
  }

  it('knows no other shell', async () => {
    const { code, err } = await lemma(folder, ['completion', 'csh']);
    deepEqual(code, 2);
    ok(err.includes('bash, zsh, fish'));
  });
});
