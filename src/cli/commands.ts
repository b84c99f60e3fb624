import type { CommandFile } from './command.ts';

/** A command's name and what it is for; its file is loaded when it is called. */
export interface Entry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  readonly load: () => Promise<CommandFile>;
}

export interface Group {
  readonly name: string;
  readonly summary: string;
  readonly entries: readonly Entry[];
}

export const COMMANDS: readonly (Entry | Group)[] = [
  { name: 'serve', summary: 'Run the service', load: () => import('./serve.ts') },
  { name: 'pdp', summary: 'Run a decision node of a control plane', load: () => import('./pdp.ts') },
  { name: 'demo', summary: 'Six containment tests, offline, in seconds', load: () => import('./demo.ts') },
  { name: 'init', summary: 'Write a starter lemma.yaml', load: () => import('./init.ts') },
  {
    name: 'firewall-connect',
    aliases: ['runtime-onboard', 'openclaw-connect'],
    summary: 'Connect a runtime to the control plane and get its proof',
    load: () => import('./firewall-connect.ts'),
  },
  {
    name: 'setup-openclaw',
    summary: 'Have OpenClaw ask the local firewall before each call of a tool',
    load: () => import('./setup-openclaw.ts'),
  },
  {
    name: 'setup-claude-code',
    summary: 'Have Claude Code ask the local firewall before each call of a tool',
    load: () => import('./setup-claude-code.ts'),
  },
  {
    name: 'setup-mcp',
    summary: 'Put the MCP servers of a client behind the local firewall',
    load: () => import('./setup-mcp.ts'),
  },
  { name: 'start', summary: 'Run the local firewall for agents here', load: () => import('./start.ts') },
  { name: 'stop', summary: 'Stop the local firewall', load: () => import('./stop.ts') },
  {
    name: 'replay',
    summary: 'Ask about recorded decisions again, and show what would change',
    load: () => import('./replay.ts'),
  },
  {
    name: 'safety-status',
    summary: 'Whether an agent here is contained: SAFE, DEGRADED or UNSAFE',
    load: () => import('./safety-status.ts'),
  },
  {
    name: 'doctor',
    summary: 'What is wrong on this machine, and its mend',
    load: () => import('./doctor.ts'),
  },
  {
    name: 'session',
    summary: 'Who commands here act for, at a control plane elsewhere',
    entries: [
      {
        name: 'start',
        summary: 'Sign in: approve a code in a browser',
        load: () => import('./session-start.ts'),
      },
      {
        name: 'status',
        summary: 'Who is signed in, and until when',
        load: () => import('./session-status.ts'),
      },
      { name: 'end', summary: 'Sign out here', load: () => import('./session-end.ts') },
    ],
  },
  {
    name: 'login',
    summary: 'Sign in with an API key, without a browser: for CI',
    load: () => import('./login.ts'),
  },
  {
    name: 'kill',
    summary: 'Deny a runtime, or all below a delegator, everything from now on',
    load: () => import('./kill.ts'),
  },
  { name: 'contain', summary: 'Deny a runtime everything for now', load: () => import('./contain.ts') },
  {
    name: 'resume',
    summary: 'End a containment, or let a killed runtime be bound anew',
    load: () => import('./resume.ts'),
  },
  {
    name: 'revoke',
    summary: 'Take back one proof or one key of a runtime',
    load: () => import('./revoke.ts'),
  },
  { name: 'taint', summary: "Make a runtime's proofs stale", load: () => import('./taint.ts') },
  {
    name: 'approve',
    summary: 'Show what tainted a runtime, and let it go on',
    load: () => import('./approve.ts'),
  },
  {
    name: 'runtimes',
    summary: 'The runtimes that are registered',
    entries: [{ name: 'list', summary: 'By id, filtered', load: () => import('./runtimes-list.ts') }],
  },
  {
    name: 'decisions',
    summary: 'What was decided, and why',
    entries: [
      { name: 'list', summary: 'The latest decisions', load: () => import('./decisions-list.ts') },
      {
        name: 'explain',
        summary: 'Why a decision was what it was',
        load: () => import('./decisions-explain.ts'),
      },
      { name: 'tail', summary: 'Decisions as they are made', load: () => import('./decisions-tail.ts') },
      {
        name: 'export',
        summary: "The log, or a part of it: as it is stored, as CSV, or in OPA's format",
        load: () => import('./decisions-export.ts'),
      },
      {
        name: 'verify',
        summary: 'Whether a record was edited, dropped, reordered or cut',
        load: () => import('./decisions-verify.ts'),
      },
    ],
  },
  {
    name: 'keys',
    summary: 'The keys that sign for the deployment',
    entries: [
      { name: 'list', summary: 'All of them, and whether they count', load: () => import('./keys-list.ts') },
      { name: 'rotate', summary: 'Have a new one sign', load: () => import('./keys-rotate.ts') },
      { name: 'retire', summary: 'Trust an old one no more', load: () => import('./keys-retire.ts') },
    ],
  },
  {
    name: 'operators',
    summary: 'Who may sign in to the control plane',
    entries: [
      { name: 'list', summary: 'All of them, by role', load: () => import('./operators-list.ts') },
      { name: 'add', summary: 'Make somebody an operator', load: () => import('./operators-add.ts') },
      { name: 'remove', summary: 'Remove one, with all keys', load: () => import('./operators-remove.ts') },
    ],
  },
  {
    name: 'api-keys',
    summary: 'Keys of programs that call the control plane',
    entries: [
      { name: 'create', summary: 'Make one; it is shown once', load: () => import('./api-keys-create.ts') },
      {
        name: 'list',
        summary: 'All of them, without their secrets',
        load: () => import('./api-keys-list.ts'),
      },
      { name: 'revoke', summary: 'End one', load: () => import('./api-keys-revoke.ts') },
    ],
  },
  {
    name: 'proof',
    summary: 'Proofs: what they say, whether they hold, and narrower ones',
    entries: [
      { name: 'inspect', summary: 'Show a chain link by link', load: () => import('./proof-inspect.ts') },
      {
        name: 'verify',
        summary: 'Say whether it holds, and which link does not',
        load: () => import('./proof-verify.ts'),
      },
      {
        name: 'narrow',
        summary: 'Make a run below it, for one job',
        load: () => import('./proof-narrow.ts'),
      },
    ],
  },
  {
    name: 'mcp',
    summary: 'MCP servers behind the firewall',
    entries: [
      {
        name: 'wrap',
        summary: 'Stand for one over stdio, in the configuration of an MCP client',
        load: () => import('./mcp-wrap.ts'),
      },
      {
        name: 'tools',
        summary: 'The descriptions of tools that were taken, and those that changed',
        load: () => import('./mcp-tools.ts'),
      },
      { name: 'approve', summary: 'Take a changed description', load: () => import('./mcp-approve.ts') },
    ],
  },
  {
    name: 'hook',
    summary: 'What agents run before each call of a tool',
    entries: [
      {
        name: 'claude-code',
        summary: "Claude Code's PreToolUse hook: the call as JSON on standard input",
        load: () => import('./hook-claude-code.ts'),
      },
    ],
  },
  {
    name: 'backup',
    summary: 'Copy the store of the running service to a file',
    load: () => import('./backup.ts'),
  },
  {
    name: 'restore',
    summary: 'Make a backup the store of a data folder that has none',
    load: () => import('./restore.ts'),
  },
  {
    name: 'config',
    summary: 'The configuration',
    entries: [
      { name: 'check', summary: 'Say what is wrong with it', load: () => import('./config-check.ts') },
      { name: 'schema', summary: 'Print its JSON Schema', load: () => import('./config-schema.ts') },
    ],
  },
  {
    name: 'policy',
    summary: 'The policies',
    entries: [
      {
        name: 'init',
        summary: 'Make a repository for policies: the profiles, tests, editor, CI and hook',
        load: () => import('./policy-init.ts'),
      },
      {
        name: 'recipe',
        summary: 'Take a tested rule into the policies: business hours, step-up, break-glass, …',
        load: () => import('./policy-recipe.ts'),
      },
      { name: 'fmt', summary: 'Write Rego as OPA does', load: () => import('./policy-fmt.ts') },
      { name: 'check', summary: 'Say what is wrong with them', load: () => import('./policy-check.ts') },
      { name: 'test', summary: 'Run their tests', load: () => import('./policy-test.ts') },
      {
        name: 'build',
        summary: 'Make the bundles that the service takes',
        load: () => import('./policy-build.ts'),
      },
      {
        name: 'eval',
        summary: 'Ask a policy what it says to an input',
        load: () => import('./policy-eval.ts'),
      },
      {
        name: 'impact',
        summary: 'Say which recorded decisions would come out otherwise',
        load: () => import('./policy-impact.ts'),
      },
      {
        name: 'inspect',
        summary: 'Say what a bundle is, and who signed it',
        load: () => import('./policy-inspect.ts'),
      },
      { name: 'sign', summary: 'Sign bundles', load: () => import('./policy-sign.ts') },
      {
        name: 'verify',
        summary: 'Check the signatures of bundles',
        load: () => import('./policy-verify.ts'),
      },
      {
        name: 'publish',
        summary: 'Hand signed bundles to the control plane',
        load: () => import('./policy-publish.ts'),
      },
      {
        name: 'activate',
        summary: 'Put published bundles into force',
        load: () => import('./policy-activate.ts'),
      },
      {
        name: 'shadow',
        summary: 'Evaluate published bundles beside the active ones, and say what differs',
        load: () => import('./policy-shadow.ts'),
      },
      {
        name: 'rollback',
        summary: 'Put an earlier bundle into force',
        load: () => import('./policy-rollback.ts'),
      },
      {
        name: 'history',
        summary: 'Which bundles there were, and who did what',
        load: () => import('./policy-history.ts'),
      },
      {
        name: 'diff',
        summary: 'What changes from one bundle to another',
        load: () => import('./policy-diff.ts'),
      },
      {
        name: 'schema',
        summary: "Print the JSON Schema of a policy's input",
        load: () => import('./policy-schema.ts'),
      },
    ],
  },
  {
    name: 'completion',
    summary: 'Print completion for bash, zsh or fish',
    load: () => import('./completion.ts'),
  },
];
