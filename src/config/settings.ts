import { configSchema } from '../schema/config.ts';
import type { Environment } from './environment.ts';
import { hint } from './nearest.ts';

/** One text of the configuration that a flag and a variable can set too. */
export interface Setting {
  /** `listen.grpc` */
  readonly field: string;
  /** `--listen-grpc` */
  readonly flag: string;
  /** `LEMMA_LISTEN_GRPC` */
  readonly variable: string;
  readonly description: string;
  /** As the schema says it; null where there is none, or where it depends. */
  readonly default: string | null;
  /** Several may be given, with commas between. */
  readonly many: boolean;
}

/** A value from outside the file, and what to call its source in an error. Paths are meant from the user's folder. */
export interface Override {
  readonly setting: Setting;
  readonly text: string;
  readonly source: string;
}

/** Variables of ours that are no setting: the file's own name, and what clients of the service read. */
const OTHER_VARIABLES = [
  'LEMMA_CONFIG',
  'LEMMA_BASE_URL',
  'LEMMA_PROOF_FILE',
  'LEMMA_RUNTIME_ID',
  'LEMMA_AGENT_ID',
  'LEMMA_WORKSPACE_ID',
  'LEMMA_OPERATOR_KEY',
  'LEMMA_API_KEY',
  'LEMMA_KEY_PASSPHRASE',
  'LEMMA_HOME',
] as const;

interface Node {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
}

/** Every setting, in the schema's order. */
export const SETTINGS: readonly Setting[] = leaves(configSchema, '');

function leaves(node: Node, field: string): Setting[] {
  if (node.properties !== undefined && !types(node).includes('string')) {
    return Object.entries(node.properties).flatMap(([name, inner]) =>
      leaves(inner, field === '' ? name : `${field}.${name}`),
    );
  }
  return types(node).includes('string') ? [setting(node, field)] : [];
}

function setting(node: Node, field: string): Setting {
  const words = field.replaceAll(/[._]/g, '-');
  return {
    field,
    flag: `--${words}`,
    variable: `LEMMA_${words.replaceAll('-', '_').toUpperCase()}`,
    description: node.description ?? '',
    default: typeof node.default === 'string' ? node.default : null,
    many: types(node).includes('array') && node.items !== undefined && types(node.items).includes('string'),
  };
}

function types(node: Node): readonly string[] {
  return node.type === undefined ? [] : typeof node.type === 'string' ? [node.type] : node.type;
}

/** What flags and variables say; a flag beats the variable. `flags` are by field (`listen.grpc`). */
export function overrides(flags: Readonly<Record<string, string | undefined>>, env: Environment): Override[] {
  return SETTINGS.flatMap((setting) => {
    const flag = Object.hasOwn(flags, setting.field) ? flags[setting.field] : undefined;
    if (flag !== undefined) return [{ setting, text: flag, source: setting.flag }];
    const variable = env[setting.variable];
    return variable === undefined ? [] : [{ setting, text: variable, source: setting.variable }];
  });
}

/** A sentence for each variable that looks like ours and is none. */
export function unknownVariables(env: Environment): string[] {
  const known = [...SETTINGS.map((s) => s.variable), ...OTHER_VARIABLES];
  return Object.keys(env)
    .filter((name) => name.startsWith('LEMMA_') && !known.includes(name))
    .sort()
    .map((name) => `${name}: unknown variable, not used${hint(name, known)}`);
}
