import type { Settings } from '../../schema/api-settings.ts';

export interface SettingsAnswer {
  readonly version: number;
  readonly settings: Settings;
  readonly by: string | null;
  readonly at: string | null;
}
