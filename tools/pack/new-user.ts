import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

interface Step {
  readonly name: string;
  readonly ms: number;
}

/**
 * The first minutes of a new user with npm's tarball, in a home that has nothing: what the quick start says, as a shell runs it, each
 * step with its milliseconds. Throws with what was printed where a step does not do what it should.
 */
export function newUser(tarball: string): Step[] {
  const home = mkdtempSync(join(tmpdir(), 'lemma-user-'));
  const prefix = join(home, '.local');
  mkdirSync(prefix);
  const PATH = [join(prefix, 'bin'), dirname(process.execPath), process.env.PATH].join(delimiter);
  const npmSetting = (name: string) =>
    execFileSync('npm', ['config', 'get', name], { encoding: 'utf8' }).trim();
  // The machine's own (its proxy, its authorities, npm's registry and cache), but nothing that is said to Lemma.
  const machine = Object.entries(process.env).filter(([name]) => !name.startsWith('LEMMA_'));
  const env = {
    ...Object.fromEntries(machine),
    PATH,
    HOME: home,
    NO_COLOR: '1',
    NPM_CONFIG_USERCONFIG: npmSetting('userconfig'),
    NPM_CONFIG_CACHE: npmSetting('cache'),
  };
  const steps: Step[] = [];

  const step = (name: string, command: string, expected: RegExp): string => {
    const began = performance.now();
    const said = execFileSync('sh', ['-euc', command], { cwd: home, env, encoding: 'utf8' });
    steps.push({ name, ms: performance.now() - began });
    if (!expected.test(said)) throw new Error(`${command}\nshould print ${expected}, and printed\n${said}`);
    return said;
  };

  try {
    step('npm install', `npm install --global --prefix '${prefix}' --loglevel=error '${tarball}'`, /./);
    step('lemma demo', 'lemma demo', /6\/6|6 of 6/);
    // A port that is free: another firewall may have the usual one here.
    const started = step('lemma start', 'lemma start --detach --listen 127.0.0.1:0 --json', /"ok":true/);
    const { data } = JSON.parse(started) as { data: { listen: string } };
    const asked = `curl -s -H "X-Lemma-Credential: $(cat .lemma/my-runtime.credential)" http://${data.listen}/firewall/hello/`;
    step(
      'lemma firewall-connect',
      'lemma firewall-connect --runtime-id my-runtime --agent-id my-agent --workspace-id default',
      /allow/,
    );
    step('curl with the proof', asked, /hello/);
    step('lemma kill', 'lemma kill my-runtime', /kill/);
    step('curl, denied', asked, /"error":"runtime_killed"/);
    step('lemma stop', 'lemma stop', /./);
    return steps;
  } finally {
    if (steps.some(({ name }) => name === 'lemma demo'))
      execFileSync('sh', ['-c', 'lemma stop >/dev/null 2>&1 || true'], { cwd: home, env });
    rmSync(home, { recursive: true, force: true });
  }
}
