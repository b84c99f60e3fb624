import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../../src/config/error.ts';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';
import { type ConfigWatch, watchConfig } from '../../src/config/watch.ts';
import { folderWith, ROUTE } from './folder.ts';

type Change = LoadedConfig | ConfigError;

describe('watching a configuration', () => {
  let folder: ReturnType<typeof folderWith>;
  let watch: ConfigWatch;
  let changes: Change[];
  let told: (change: Change) => void;

  beforeEach(() => {
    folder = folderWith({ 'lemma.yaml': 'org: one\nroutes: routes.yaml\n', 'routes.yaml': '[]' });
    changes = [];
    told = (change) => void changes.push(change);
    const options = { flags: {}, env: {}, cwd: folder.path };
    watch = watchConfig({ ...options, current: loadConfig(options), onChange: (change) => told(change) });
  });
  afterEach(() => {
    watch.close();
    folder.remove();
  });

  const next = () => {
    const waiting = changes.shift();
    return waiting ? Promise.resolve(waiting) : new Promise<Change>((resolve) => (told = resolve));
  };
  const org = (change: Change) => (change instanceof ConfigError ? change.message : change.config.org);

  it('gives the whole new one when the file is written', async () => {
    folder.write('lemma.yaml', 'org: two\nroutes: routes.yaml\n');
    assert.equal(org(await next()), 'two');
  });

  it('sees a file that is replaced by rename', async () => {
    folder.write('new.yaml', 'org: three\n');
    renameSync(join(folder.path, 'new.yaml'), join(folder.path, 'lemma.yaml'));
    assert.equal(org(await next()), 'three');
  });

  it('sees the routes file change', async () => {
    folder.write('routes.yaml', ROUTE);
    const change = await next();
    assert.equal(change instanceof ConfigError ? change.message : change.config.routes.length, 1);
  });

  it('gives why a bad file cannot be used, and nothing of it', async () => {
    folder.write('lemma.yaml', 'org: two\nrouts: routes.yaml\n');
    assert.equal(org(await next()), 'lemma.yaml:2: routs: unknown key; did you mean "routes"?');
  });

  it('goes on after a bad file', async () => {
    folder.write('lemma.yaml', 'org: [\n');
    await next();
    folder.write('lemma.yaml', 'org: mended\n');
    assert.equal(org(await next()), 'mended');
  });

  it('loads anew on SIGHUP, changed or not', async () => {
    process.kill(process.pid, 'SIGHUP');
    assert.equal(org(await next()), 'one');
  });

  it('sees a change that came before it began', async () => {
    watch.close();
    const options = { flags: {}, env: {}, cwd: folder.path };
    const current = loadConfig(options);
    folder.write('lemma.yaml', 'org: early\n');
    watch = watchConfig({ ...options, current, onChange: (change) => told(change) });
    assert.equal(org(await next()), 'early');
  });
});
