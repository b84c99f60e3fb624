import assert from 'node:assert/strict';
import {
  chmodSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { loadKeys, publicJwk } from '../../src/authority/keys.ts';
import { createOperators } from '../../src/authority/operators.ts';
import { KeyFileError } from '../../src/authority/secret-file.ts';
import { createTrust } from '../../src/proof/trust.ts';
import { HOME, tempFolder } from './support.ts';

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof KeyFileError && pattern.test(error.message);

describe('keys of a deployment', () => {
  let folder: ReturnType<typeof tempFolder>;
  beforeEach(() => {
    folder = tempFolder();
  });
  afterEach(() => folder.remove());
  const issuerFile = () => join(folder.path, 'keys', 'issuer.key');

  it('are made once and read again', () => {
    const first = loadKeys(folder.path);
    const second = loadKeys(folder.path);
    assert.deepEqual({ ...second, created: true }, first);
  });

  it('say whether they were made just now', () => {
    const created = [loadKeys(folder.path).created, loadKeys(folder.path).created];
    assert.deepEqual(created, [true, false]);
  });

  it('are not new when only one was missing', () => {
    loadKeys(folder.path);
    renameSync(issuerFile(), join(folder.path, 'elsewhere'));
    assert.equal(loadKeys(folder.path).created, false);
  });

  it('are all different', () => {
    const { issuer, rootSecret, automation, checkpoint, bundle } = loadKeys(folder.path);
    const texts = [issuer, rootSecret, automation, checkpoint, bundle].map((key) =>
      Buffer.from(key).toString('hex'),
    );
    assert.equal(new Set(texts).size, 5);
  });

  it('are for their owner only', () => {
    loadKeys(folder.path);
    const keys = join(folder.path, 'keys');
    const files = [...readdirSync(keys).map((name) => join(keys, name)), join(folder.path, 'operator.key')];
    assert.deepEqual([mode(keys), ...new Set(files.map(mode))], ['700', '600']);
  });

  it('leave no draft behind', () => {
    loadKeys(folder.path);
    assert.deepEqual(readdirSync(join(folder.path, 'keys')).sort(), [
      'automation.key',
      'bundle.key',
      'checkpoint.key',
      'issuer.key',
      'operator-root.key',
    ]);
  });

  it('keep the operator key on one line', () => {
    loadKeys(folder.path);
    assert.match(readFileSync(join(folder.path, 'operator.key'), 'utf8'), /^lm_op_[A-Za-z0-9_-]{43}\n$/);
  });

  it('are refused where others may read one', () => {
    loadKeys(folder.path);
    chmodSync(issuerFile(), 0o640);
    assert.throws(
      () => loadKeys(folder.path),
      refused(/issuer\.key: is open to others \(mode 640\).*chmod 600/),
    );
  });

  it('are refused where others may enter their folder', () => {
    loadKeys(folder.path);
    chmodSync(join(folder.path, 'keys'), 0o755);
    assert.throws(() => loadKeys(folder.path), refused(/keys: is open to others \(mode 755\).*chmod 700/));
  });

  it('are refused as a symbolic link', () => {
    loadKeys(folder.path);
    renameSync(issuerFile(), join(folder.path, 'elsewhere'));
    symlinkSync(join(folder.path, 'elsewhere'), issuerFile());
    assert.throws(() => loadKeys(folder.path), refused(/issuer\.key: must not be a symbolic link/));
  });

  it('are refused in a folder that is a symbolic link', () => {
    loadKeys(folder.path);
    renameSync(join(folder.path, 'keys'), join(folder.path, 'elsewhere'));
    symlinkSync(join(folder.path, 'elsewhere'), join(folder.path, 'keys'));
    assert.throws(() => loadKeys(folder.path), refused(/keys: must be a folder, not a link/));
  });

  for (const text of ['', 'short\n', `${'A'.repeat(42)}B\n`]) {
    it(`are refused when a file holds ${JSON.stringify(text)}, and it stays as it is`, () => {
      loadKeys(folder.path);
      writeFileSync(issuerFile(), text);
      assert.throws(() => loadKeys(folder.path), refused(/issuer\.key: does not hold one line of 32 bytes/));
      assert.equal(readFileSync(issuerFile(), 'utf8'), text);
    });
  }

  it('have public halves that a trust set takes', () => {
    const jwk = publicJwk(loadKeys(folder.path).issuer);
    assert.equal(createTrust([{ ...HOME, keys: [jwk] }]).trusts(jwk.kid, HOME.org, HOME.env), true);
  });
});

describe('operators', () => {
  const key = `lm_op_${'A'.repeat(43)}`;
  const operators = createOperators({ ...HOME, key });

  it('are known by their key', () => {
    const { id, org, env } = operators.authenticate(key) ?? {};
    assert.deepEqual({ id, org, env }, { id: 'owner', ...HOME });
  });

  for (const wrong of ['', key.slice(0, -1), `${key}A`, `lm_op_${'A'.repeat(42)}B`]) {
    it(`are not known by ${JSON.stringify(wrong)}`, () => {
      assert.equal(operators.authenticate(wrong), null);
    });
  }
});
