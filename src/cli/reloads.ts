import type { App } from '../app.ts';
import { ConfigError } from '../config/error.ts';
import type { LoadedConfig, LoadOptions } from '../config/load.ts';
import { type ConfigWatch, watchConfig } from '../config/watch.ts';
import { isAsked, watchSource } from '../config/watch-source.ts';
import { InputError } from '../reason.ts';
import type { Call } from './command.ts';

/** What takes a new configuration while it runs; bundles where it has some of its own. */
export type Reloading = Pick<App, 'reload'> & Partial<Pick<App, 'reloadBundles'>>;

/** Hears how the last reload of each went: null, or why it was refused. */
export type Outcome = (what: 'configuration' | 'bundles', refused: string | null) => void;

/** One reload after the other, of the configuration or of the bundles; a bad one leaves what runs, and says so loudly. */
export function reloads(
  call: Call,
  service: Reloading,
  first: LoadedConfig,
  options: LoadOptions,
  tell: Outcome = () => undefined,
): Pick<ConfigWatch, 'close'> {
  let running = first;
  let last = Promise.resolve();
  let refused: string | null = null;
  const { terminal } = call;
  const say = (what: Parameters<Outcome>[0], error: unknown, outcome: string) => {
    const text = error instanceof Error ? error.message : String(error);
    tell(what, text);
    // What is asked again and again fails again and again.
    const again = what === 'bundles' && text === refused && isAsked(running.config.bundles);
    if (what === 'bundles') refused = text;
    if (again) return;
    for (const line of [...text.split('\n'), outcome]) terminal.note(terminal.styleNote('red', line));
  };
  const refuse = (error: unknown) =>
    say('configuration', error, `CONFIGURATION NOT RELOADED: revision ${running.revision} goes on`);
  const take = async (loaded: LoadedConfig) => {
    warn(call, loaded);
    try {
      await service.reload(loaded);
      running = loaded;
      tell('configuration', null);
      bundles?.follow(loaded.config.bundles);
      terminal.note(`Configuration reloaded: revision ${loaded.revision}`);
    } catch (error) {
      refuse(error instanceof InputError ? loaded.locateError(error) : error);
    }
  };
  const takeBundles = async (reloadBundles: NonNullable<Reloading['reloadBundles']>) => {
    try {
      for (const { name, revision, sha256 } of await reloadBundles())
        terminal.note(`Policy ${name} is now ${revision} (${sha256})`);
      refused = null;
      tell('bundles', null);
    } catch (error) {
      say(
        'bundles',
        error instanceof InputError ? running.locateError(error) : error,
        'BUNDLES NOT RELOADED: the policies that run go on',
      );
    }
  };
  const inTurn = (act: () => unknown): Promise<void> => {
    last = last.then(async () => void (await act()));
    return last;
  };
  const { reloadBundles } = service;
  const bundles =
    reloadBundles === undefined
      ? null
      : watchSource(first.config.bundles, () => inTurn(() => takeBundles(reloadBundles)));
  const config = watchConfig({
    ...options,
    current: first,
    onChange: (result) => void inTurn(() => (result instanceof ConfigError ? refuse(result) : take(result))),
  });
  return {
    close() {
      bundles?.close();
      config.close();
    },
  };
}

export function warn(call: Call, loaded: LoadedConfig): void {
  for (const warning of loaded.warnings)
    call.terminal.note(call.terminal.styleNote('yellow', `warning: ${warning}`));
}
