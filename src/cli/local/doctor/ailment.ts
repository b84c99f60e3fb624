import type { LoadedConfig } from '../../../config/load.ts';
import type { Call } from '../../command.ts';
import type { FoundFirewall } from '../control-channel.ts';
import type { RuntimeFiles } from '../runtime-files.ts';

/** Something that is wrong on this machine. */
export interface Ailment {
  readonly code: string;
  /** `error`: an agent can act undecided, or nothing works; `warning`: something is missing or not covered. */
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly mend: string;
  /** The file or folder that it is about, where a check of files found it. */
  readonly path?: string;
  /** Mends it and says what was done. Only what loses nothing and lets nothing more through. */
  readonly fix?: () => string | Promise<string>;
}

export interface Examined {
  readonly call: Call;
  readonly home: string;
  readonly data: string;
  readonly firewall: FoundFirewall | null;
  readonly runtime: RuntimeFiles | null;
  /** Null: it is invalid, which is a finding of its own. */
  readonly loaded: LoadedConfig | null;
}
