import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { connectCommand } from '../../src/cli/next-steps.ts';
import { loadConfig } from '../../src/config/load.ts';
import { SERVED_ROUTES } from '../support/serving.ts';
import { emptyFolder } from './lemma.ts';

describe('the command to connect with', () => {
  let folder: ReturnType<typeof emptyFolder>;
  beforeEach(() => {
    folder = emptyFolder();
    for (const name of ['a.pem', 'a.key']) writeFileSync(join(folder.path, name), '');
  });
  afterEach(() => folder.remove());

  /** Its `--api-base`. */
  function baseOf(control: unknown, more: object = {}): string | undefined {
    const config = { listen: { control }, routes: SERVED_ROUTES, ...more };
    writeFileSync(join(folder.path, 'lemma.yaml'), stringify(config));
    const loaded = loadConfig({ flags: {}, env: {}, cwd: folder.path });
    const steps = { program: 'lemma', folder: folder.path, config: loaded.config };
    return / --api-base (\S+)/.exec(connectCommand(steps) ?? '')?.[1];
  }

  const secure = { address: '127.0.0.1:9443', tls: { cert: 'a.pem', key: 'a.key' } };

  it('calls a listener with TLS over https', () => {
    assert.equal(baseOf(secure), 'https://127.0.0.1:9443');
  });

  it('calls a listener with TLS by the public name, which its certificate is for', () => {
    assert.equal(baseOf(secure, { public_url: 'https://lemma.acme.example' }), 'https://lemma.acme.example');
  });

  it('calls one without TLS where it listens', () => {
    assert.equal(
      baseOf('127.0.0.1:9080', { public_url: 'https://lemma.acme.example' }),
      'http://127.0.0.1:9080',
    );
  });
});
