import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { SessionState } from '../../../src/schema/local-state.ts';
import { type Serving, serving } from '../../support/serving.ts';
import { controlPlane, emptyFolder, environmentIn, lemma } from '../lemma.ts';

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));

describe('who commands act for', () => {
  let service: Serving;
  let plane: ReturnType<typeof emptyFolder>;
  let folder: ReturnType<typeof emptyFolder>;
  let home: string;
  before(async () => {
    plane = emptyFolder();
    service = await serving(plane.path);
  });
  after(async () => {
    await service.end('SIGTERM');
    plane.remove();
  });
  beforeEach(() => {
    folder = emptyFolder();
    home = join(folder.path, 'home', '.lemma');
  });
  afterEach(() => folder.remove());

  const run = async (args: readonly string[], env: Record<string, string> = {}) => {
    const { code, out, err } = await lemma(folder.path, [...args, '--json'], env);
    return { code, err, ...JSON.parse(out) };
  };
  const stored = () => JSON.parse(readFileSync(join(home, 'session.json'), 'utf8')) as SessionState;
  const store = (over: Partial<SessionState>) => {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const session: SessionState = {
      ...{ v: 1, api_base: service.controlBase, kind: 'device', token: 'lm_cs_x', operator: 'owner' },
      ...{ org: 'local', env: 'default', permissions: [], authority_keys: [] },
      ...{ created_at: '2026-01-01T00:00:00.000Z', expires_at: null },
      ...over,
    };
    writeFileSync(join(home, 'session.json'), JSON.stringify(session), { mode: 0o600 });
  };
  const apiKey = async (...permissions: string[]) => {
    const { body } = await service.control('/api/wallet/api-keys', { name: 'ci', permissions });
    return String(body.token ?? body.api_key ?? body.secret);
  };

  /** `lemma session start`, with what is shown to the person; `ended` is its answer. */
  function signingIn(...args: string[]) {
    const child = spawn(
      process.execPath,
      [MAIN, 'session', 'start', '--json', '--api-base', service.controlBase, ...args],
      { cwd: folder.path, env: environmentIn(folder.path), stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const exited = once(child, 'exit') as Promise<[number | null]>;
    const out = text(child.stdout);
    const lines = createInterface({ input: child.stderr })[Symbol.asyncIterator]();
    const shown = (async () => {
      const said: string[] = [];
      for (let i = 0; i < 3; i += 1) said.push((await lines.next()).value ?? '');
      return said.join('\n');
    })();
    const ended = Promise.all([exited, out]).then(([[code], said]) => ({ code, ...JSON.parse(said) }));
    return { child, shown, ended };
  }
  const codeIn = (shown: string) => /code: ([A-Z]{4}-[A-Z]{4})/.exec(shown)?.[1] ?? '';

  describe('session start', () => {
    it('shows a code, waits until somebody approves it, and keeps the session', async () => {
      const { shown, ended } = signingIn();
      const said = await shown;
      const user_code = codeIn(said);
      await service.control('/api/auth/device/approve', { user_code });
      const { code, data } = await ended;
      const { token, ...session } = stored();
      assert.match(
        said,
        new RegExp(`${service.controlBase.replace('127.0.0.1', '(?:127.0.0.1|localhost)')}/wallet/device`),
      );
      assert.match(token, /^lm_cs_/);
      assert.deepEqual(
        [
          code,
          session.api_base,
          session.operator,
          session.authority_keys.length,
          JSON.stringify(data).includes(token),
        ],
        [0, service.controlBase, 'owner', 1, false],
      );
      assert.equal(statSync(join(home, 'session.json')).mode & 0o777, 0o600);
      assert.equal((await run(['session', 'status'])).data.confirmed, true);
    });

    it('keeps nothing when somebody says no', async () => {
      const { shown, ended } = signingIn();
      await service.control('/api/auth/device/deny', { user_code: codeIn(await shown) });
      const { code, error_code } = await ended;
      assert.deepEqual(
        [code, error_code, existsSync(join(home, 'session.json'))],
        [1, 'access_denied', false],
      );
    });

    it('waits for nobody when it is interrupted', async () => {
      const { child, shown, ended } = signingIn();
      await shown;
      child.kill('SIGINT');
      const { code, error_code } = await ended;
      assert.deepEqual([code, error_code], [1, 'interrupted']);
    });

    it('asks for no permission that there is not', async () => {
      const { ended } = signingIn('--permission', 'runtimes.fly');
      assert.equal((await ended).code, 2);
    });

    it('asks more slowly when it is told so, and goes on', async () => {
      let polls = 0;
      const slow = await controlPlane(({ url }) => {
        if (url.endsWith('/code'))
          return {
            body: {
              ...{ success: true, device_code: 'd', user_code: 'BCDF-GHJK', expires_in: 600, interval: 0.01 },
              verification_uri: 'http://127.0.0.1/device',
            },
          };
        polls += 1;
        const error = polls === 1 ? 'authorization_pending' : 'expired_token';
        return { status: 400, body: { success: false, error, message: '' } };
      });
      const { error_code } = await run(['session', 'start', '--api-base', slow.base]);
      await slow.close();
      assert.deepEqual([error_code, polls], ['expired_token', 2]);
    });
  });

  describe('session status', () => {
    it('says that nobody is signed in', async () => {
      const { code, error_code } = await run(['session', 'status']);
      assert.deepEqual([code, error_code], [1, 'session_missing']);
    });

    it('says that a session has ended', async () => {
      store({ expires_at: '2026-01-01T00:00:00.000Z' });
      const { code, error_code, data } = await run(['session', 'status']);
      assert.deepEqual([code, error_code], [1, 'session_expired']);
      assert.match(data.message, /lemma|main\.ts.* session start --api-base/);
    });

    it('says that it is of another control plane than the one that is named', async () => {
      store({});
      const { code, error_code } = await run(['session', 'status', '--api-base', 'https://127.0.0.1:1']);
      assert.deepEqual([code, error_code], [1, 'session_elsewhere']);
    });

    it('asks the control plane whether it still counts', async () => {
      store({ token: 'lm_cs_revoked' });
      const { code, error_code } = await run(['session', 'status']);
      assert.deepEqual([code, error_code], [1, 'auth_required']);
    });

    it('is forgotten by session end', async () => {
      store({});
      await run(['session', 'end']);
      assert.equal(existsSync(join(home, 'session.json')), false);
    });
  });

  describe('login', () => {
    it('keeps an API key that the control plane knows, from a file', async () => {
      const file = join(folder.path, 'key');
      writeFileSync(file, `${await apiKey('runtimes.read', 'nodes.connect')}\n`, { mode: 0o600 });
      const { code } = await run(['login', '--api-base', service.controlBase, '--api-key-file', file]);
      const { kind, permissions, authority_keys } = stored();
      assert.deepEqual(
        [code, kind, permissions.toSorted(), authority_keys.length],
        [0, 'api_key', ['nodes.connect', 'runtimes.read'], 1],
      );
    });

    it('keeps none that it does not know', async () => {
      const env = { LEMMA_API_KEY: 'lm_ak_wrong' };
      const { code, error_code } = await run(['login', '--api-base', service.controlBase], env);
      assert.deepEqual(
        [code, error_code, existsSync(join(home, 'session.json'))],
        [1, 'auth_required', false],
      );
    });

    it('reads no file that others may read', async () => {
      const file = join(folder.path, 'key');
      writeFileSync(file, 'lm_ak_x');
      chmodSync(file, 0o644);
      const { code, error_code } = await run(['login', '--api-key-file', file]);
      assert.deepEqual([code, error_code], [1, 'file_unsafe']);
    });

    it('is used wrongly without a key', async () => {
      assert.equal((await run(['login'])).code, 2);
    });
  });

  describe('the credential of a command', () => {
    const seenBy = async (args: readonly string[], env: Record<string, string> = {}) => {
      const other = await controlPlane(() => ({ body: { success: true, runtimes: [] } }));
      try {
        await run(['runtimes', 'list', ...args.map((arg) => arg.replace('BASE', other.base))], {
          ...env,
          ...(env.LEMMA_BASE_URL === undefined ? {} : { LEMMA_BASE_URL: other.base }),
        });
        return other.seen[0]?.authorization ?? null;
      } finally {
        await other.close();
      }
    };
    const operatorKey = (key: string) => {
      mkdirSync(join(folder.path, '.lemma'), { recursive: true });
      writeFileSync(join(folder.path, '.lemma', 'operator.key'), `${key}\n`, { mode: 0o600 });
    };

    it('is LEMMA_OPERATOR_KEY before LEMMA_API_KEY', async () => {
      const both = { LEMMA_OPERATOR_KEY: 'lm_op_env', LEMMA_API_KEY: 'lm_ak_env' };
      const { LEMMA_API_KEY } = both;
      assert.deepEqual(
        [await seenBy(['--api-base', 'BASE'], both), await seenBy(['--api-base', 'BASE'], { LEMMA_API_KEY })],
        ['Bearer lm_op_env', 'Bearer lm_ak_env'],
      );
    });

    it("is the project's operator key where nothing else is of that control plane", async () => {
      operatorKey('lm_op_project');
      store({ token: 'lm_cs_elsewhere' });
      assert.equal(await seenBy(['--api-base', 'BASE']), 'Bearer lm_op_project');
    });

    it('is the session, of the control plane that it is of', async () => {
      operatorKey('lm_op_project');
      const other = await controlPlane(() => ({ body: { success: true, runtimes: [] } }));
      store({ api_base: other.base, token: 'lm_cs_there' });
      await run(['runtimes', 'list', '--api-base', other.base]);
      await other.close();
      assert.equal(other.seen[0]?.authorization, 'Bearer lm_cs_there');
    });

    it("is never another control plane's session", async () => {
      store({ token: 'lm_cs_elsewhere' });
      assert.equal(await seenBy(['--api-base', 'BASE']), null);
    });

    it('is no operator key that lay here by chance, for a control plane elsewhere', async () => {
      operatorKey('lm_op_project');
      const { error_code } = await run(['kill', 'bot-1', '--api-base', 'https://lemma.invalid']);
      assert.equal(error_code, 'operator_key_missing');
    });

    it('is of the base that the session names, when nobody names one', async () => {
      const other = await controlPlane(() => ({ body: { success: true, runtimes: [] } }));
      store({ api_base: other.base, token: 'lm_cs_there' });
      const { err } = await lemma(folder.path, ['runtimes', 'list']);
      await other.close();
      assert.deepEqual([other.seen.length, err], [1, `(${other.base}, with the session of owner)\n`]);
    });

    it('is named when it is refused', async () => {
      store({ token: 'lm_cs_revoked' });
      const { error_code, data } = await run(['kill', 'bot-1']);
      assert.deepEqual([error_code, data.as], ['auth_required', 'the session of owner']);
    });
  });
});
