import type { Command } from 'commander';
import { type Call, textOption } from './command.ts';
import { misuse } from './exit.ts';

/** Filters of the feed, by the names that the API has. */
const FILTERS = [
  ['runtime', '<id>', 'Of this runtime'],
  ['agent', '<id>', 'Of this agent'],
  ['workspace', '<id>', 'Of this workspace'],
  ['subject', '<ppid>', 'Of this delegator: ppid_… or did:lemma:ppid_…'],
  ['verdict', '<allow|deny>', 'With this verdict'],
  ['reason', '<code>', 'With this reason code'],
  ['route', '<id>', 'Of this route'],
  ['since', '<time>', 'From this time on, RFC 3339'],
] as const;

/** `until`: also the other end, which a live feed has not. */
export function defineFilters(command: Command, until: boolean): void {
  for (const [name, value, help] of FILTERS) command.option(`--${name} ${value}`, help);
  if (until) command.option('--until <time>', 'Before this time, RFC 3339');
}

/** What was given, as a query. Throws misuse for an empty one: it would be all. */
export function filterQuery({ options }: Pick<Call, 'options'>): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of [...FILTERS.map(([filter]) => filter), 'until']) {
    const value = textOption(options, name);
    if (value === '') throw misuse(`--${name} must not be empty`);
    if (value !== undefined) query.set(name, value);
  }
  return query;
}
