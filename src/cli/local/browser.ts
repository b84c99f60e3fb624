import { spawn } from 'node:child_process';

/** Opens a page for the person, if this system knows how; nothing is said where it does not. Only http and https URLs. */
export function openBrowser(url: string, platform = process.platform): void {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return;
  const [program, ...args] =
    platform === 'darwin'
      ? ['open', url]
      : platform === 'win32'
        ? ['rundll32', 'url.dll,FileProtocolHandler', url]
        : ['xdg-open', url];
  if (program === undefined) return;
  const child = spawn(program, args, { stdio: 'ignore', detached: true });
  child.once('error', () => undefined);
  child.unref();
}
