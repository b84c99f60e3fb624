/**
 * A shell's command line that starts this very program, whatever the PATH of whoever runs it. Words that a shell would read
 * otherwise are quoted.
 */
export function ownCommand(...args: readonly string[]): string {
  return ownWords(...args)
    .map(quoted)
    .join(' ');
}

/** The same as words. */
export function ownWords(...args: readonly string[]): string[] {
  return [process.execPath, ...process.execArgv, process.argv[1] ?? '', ...args];
}

function quoted(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return process.platform === 'win32' ? `"${word}"` : `'${word.replaceAll("'", `'\\''`)}'`;
}
