import { Command, type Option } from 'commander';
import type { Call, Result } from './command.ts';
import { COMMANDS, type Entry } from './commands.ts';
import { misuse } from './exit.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function define(command: Command): void {
  command.argument('<shell>', SHELLS.join(', '));
}

/** A script that the shell reads once: `lemma completion bash >> ~/.bashrc`. It asks nothing of the program later. */
export async function run(call: Call): Promise<Result> {
  const [shell = ''] = call.args;
  const words = await allWords();
  const script = scriptFor(shell, words);
  return { data: { shell, script }, lines: script.split('\n') };
}

function scriptFor(shell: string, words: readonly Words[]): string {
  switch (shell) {
    case 'bash':
      return bash(words);
    case 'zsh':
      return zsh(words);
    case 'fish':
      return fish(words);
    default:
      throw misuse(`there is no completion for "${shell}": ${SHELLS.join(', ')}`);
  }
}

/** What may follow a command, or a group where `path` is one word more than a command's. */
interface Words {
  readonly path: string;
  readonly next: readonly { readonly word: string; readonly summary: string }[];
}

async function allWords(): Promise<Words[]> {
  const inner = await Promise.all(
    COMMANDS.map(async (one) => {
      if ('load' in one)
        return Promise.all([one.name, ...(one.aliases ?? [])].map((name) => wordsOf(one, name)));
      const group = {
        path: one.name,
        next: one.entries.map(({ name, summary }) => ({ word: name, summary })),
      };
      return [
        group,
        ...(await Promise.all(one.entries.map((entry) => wordsOf(entry, `${one.name} ${entry.name}`)))),
      ];
    }),
  );
  const first = COMMANDS.flatMap((one) =>
    [one.name, ...('aliases' in one ? (one.aliases ?? []) : [])].map((word) => ({
      word,
      summary: one.summary,
    })),
  );
  return [{ path: '', next: first }, ...inner.flat()];
}

async function wordsOf(entry: Entry, path: string): Promise<Words> {
  const command = new Command(entry.name);
  (await entry.load()).define(command);
  const options = command.options.filter((option) => !option.hidden);
  const next = options.map((option) => ({ word: flagOf(option), summary: option.description }));
  return { path, next: [...next, { word: '--json', summary: 'Answer with one JSON object' }] };
}

function flagOf({ long, short }: Option): string {
  return long ?? short ?? '';
}

/** Words of ours hold no character that a shell reads; what people read may. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bash(words: readonly Words[]): string {
  const cases = words.map(
    ({ path, next }) => `    ${quoted(path)}) words=${quoted(next.map(({ word }) => word).join(' '))} ;;`,
  );
  return `_lemma() {
  local words='' current="\${COMP_WORDS[COMP_CWORD]}" path='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) break ;; *) path="\${path:+$path }$word" ;; esac
  done
  while :; do
    case $path in
${cases.map((line) => `  ${line}`).join('\n')}
      *) case $path in *' '*) path="\${path% *}"; continue ;; esac ;;
    esac
    break
  done
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _lemma lemma`;
}

function zsh(words: readonly Words[]): string {
  const cases = words.map(({ path, next }) => {
    const shown = next
      .map(({ word, summary }) => quoted(`${word.replaceAll(':', '\\:')}:${summary}`))
      .join(' ');
    return `      ${quoted(path)}) choices=(${shown}) ;;`;
  });
  return `#compdef lemma
_lemma() {
  local -a choices
  local at='' word
  for word in \${words[2,CURRENT-1]}; do
    case $word in -*) break ;; *) at="\${at:+$at }$word" ;; esac
  done
  while :; do
    case $at in
${cases.join('\n')}
      *) case $at in *' '*) at="\${at% *}"; continue ;; esac ;;
    esac
    break
  done
  _describe 'lemma' choices || _files
}
compdef _lemma lemma`;
}

function fish(words: readonly Words[]): string {
  const lines = words.flatMap(({ path, next }) =>
    next.map(({ word, summary }) => {
      const given = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${quoted(word)}`;
      return `complete -c lemma -n ${quoted(`__lemma_at ${quoted(path)}`)} ${given} -d ${quoted(summary)}`;
    }),
  );
  const groups = words.map(({ path }) => path).filter((path) => path.includes(' '));
  return `function __lemma_at
    set -l at
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; and break
        set -a at $word
    end
    set -l path "$at[1..2]"
    contains -- "$path" ${groups.map(quoted).join(' ')}; or set path "$at[1]"
    test "$path" = "$argv[1]"
end
${lines.join('\n')}`;
}
