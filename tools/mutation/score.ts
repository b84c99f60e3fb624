/**
 * Stryker's reporter of the score by folder, which must hold in each (Stryker's own looks at them all together). Writes
 * coverage/mutation.md: the figures of each file, and each mutant that survived.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { StrykerOptions, schema } from '@stryker-mutator/api/core';
import { commonTokens, declareFactoryPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin';
import type { Reporter } from '@stryker-mutator/api/report';

type Files = schema.MutationTestResult['files'];
type Mutant = schema.MutantResult;

const REPORT = 'coverage/mutation.md';
const NOT_COUNTED: ReadonlySet<string> = new Set(['Ignored', 'CompileError', 'RuntimeError', 'Pending']);
const SHOWN_AT_MOST = 100;

interface Figures {
  readonly mutants: number;
  readonly killed: number;
  readonly timeout: number;
  readonly survived: number;
  readonly untested: number;
}

function scoreReporter({ thresholds }: StrykerOptions): Reporter {
  return {
    onMutationTestReportReady({ files }) {
      const least = thresholds.break ?? 0;
      const folders = Map.groupBy(Object.keys(files).sort(), folderOf);
      const figures = [...folders].map(([folder, paths]) => ({
        name: `\`${folder}\``,
        ...figuresOf(paths.flatMap((path) => files[path]?.mutants ?? [])),
      }));
      mkdirSync(dirname(REPORT), { recursive: true });
      writeFileSync(REPORT, reportOf(files, figures));
      process.stdout.write(`\n${table('Folder', figures)}\n\nEach file, and what survived: ${REPORT}\n`);
      for (const folder of figures) {
        if (scoreOf(folder) >= least) continue;
        process.stdout.write(`${folder.name} is below ${least} %: test what survived.\n`);
        process.exitCode = 1;
      }
    },
  };
}

/** The first two names: `src/pdp` of `src/pdp/impact/judge.ts`. */
function folderOf(path: string): string {
  return path.split('/').slice(0, 2).join('/');
}

function figuresOf(all: readonly Mutant[]): Figures {
  const counted = all.filter(({ status }) => !NOT_COUNTED.has(status));
  const of = (wanted: string) => counted.filter(({ status }) => status === wanted).length;
  return {
    mutants: counted.length,
    killed: of('Killed'),
    timeout: of('Timeout'),
    survived: of('Survived'),
    untested: of('NoCoverage'),
  };
}

/** Per cent. */
function scoreOf({ mutants, killed, timeout }: Figures): number {
  return mutants === 0 ? 100 : (100 * (killed + timeout)) / mutants;
}

function table(title: string, rows: readonly (Figures & { readonly name: string })[]): string {
  return [
    `| ${title} | Mutants | Killed | Timeout | Survived | No coverage | Score |`,
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows.map((row) => {
      const { name, mutants, killed, timeout, survived, untested } = row;
      return `| ${name} | ${mutants} | ${killed} | ${timeout} | ${survived} | ${untested} | ${scoreOf(row).toFixed(1)} |`;
    }),
  ].join('\n');
}

function reportOf(files: Files, folders: readonly (Figures & { readonly name: string })[]): string {
  const sorted = Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = sorted.map(([path, { mutants }]) => ({ name: `\`${path}\``, ...figuresOf(mutants) }));
  const alive = sorted.flatMap(([path, { source, mutants }]) =>
    mutants
      .filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
      .map((mutant) => `- \`${path}:${mutant.location.start.line}\` ${survivorOf(mutant, source)}`),
  );
  return [
    '# Mutation score',
    table('Folder', folders),
    table('File', rows),
    '## Survived, or not tested\n\nThe reasons: `tools/mutation/survivors.md`.',
    alive.join('\n'),
    '',
  ].join('\n\n');
}

function survivorOf({ location, replacement = '', mutatorName, status }: Mutant, source: string): string {
  const { start, end } = location;
  const lines = source.split('\n').slice(start.line - 1, end.line);
  const last = lines.length - 1;
  const cut = lines.map((line, i) =>
    line.slice(i === 0 ? start.column - 1 : 0, i === last ? end.column - 1 : undefined),
  );
  const untested = status === 'NoCoverage' ? ', not tested' : '';
  return `${inLine(cut.join(' '))} as ${inLine(replacement)} (${mutatorName}${untested})`;
}

function inLine(text: string): string {
  const short = text.replaceAll(/\s+/g, ' ');
  return `\`\` ${short.length > SHOWN_AT_MOST ? `${short.slice(0, SHOWN_AT_MOST)}…` : short} \`\``;
}

scoreReporter.inject = tokens(commonTokens.options);

export const strykerPlugins = [declareFactoryPlugin(PluginKind.Reporter, 'score', scoreReporter)];
