import { type Command, Option } from 'commander';
import type { LoadOptions } from '../config/load.ts';
import { SETTINGS } from '../config/settings.ts';
import { type Call, textOption } from './command.ts';

/** `--config`, and a flag for each setting of the schema. */
export function defineConfigOptions(command: Command): void {
  command.option(
    '-c, --config <file>',
    'Configuration file (default: lemma.yaml when it is there; LEMMA_CONFIG)',
  );
  for (const setting of SETTINGS) {
    const fallback = setting.default === null ? '' : `default: ${setting.default}; `;
    const option = new Option(
      `${setting.flag} <value>`,
      `${setting.description} (${fallback}${setting.variable})`,
    );
    if (setting.many)
      option.argParser((value: string, before: unknown) =>
        before === undefined ? value : `${before},${value}`,
      );
    command.addOption(option);
  }
}

/** What `loadConfig` is to be asked for. */
export function loadOptions(call: Call): LoadOptions {
  const flags = SETTINGS.map((setting) => {
    const name = new Option(`${setting.flag} <value>`).attributeName();
    return [setting.field, textOption(call.options, name)] as const;
  });
  return {
    file: textOption(call.options, 'config'),
    flags: Object.fromEntries(flags),
    env: call.env,
    cwd: call.folder,
  };
}
