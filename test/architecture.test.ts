import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/**
 * architecture.md, "Rooms". Within layer 0 the reasons and the schemas are leaves that the others may name; a room of
 * one layer imports no other room of it.
 */
const LAYERS: Record<string, number> = {
  'reason.ts': 0,
  schema: 0.1,
  crypto: 0.2,
  config: 0.2,
  request: 1,
  proof: 1,
  store: 1,
  feed: 1,
  gate: 2,
  policy: 2,
  'decision-log': 2,
  pdp: 3,
  authority: 3,
  server: 4,
  firewall: 4,
  client: 4,
  console: 4,
  'app.ts': 5,
  // The other composition: a decision node.
  'node.ts': 5.1,
  cli: 6,
  'main.ts': 6.1,
  'main.js': 6.1,
  'bin.js': 6.2,
};

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
  (path) => /\.(tsx?|js)$/.test(path) && !/^console[\\/]built[\\/]/.test(path),
);
const roomOf = (path: string) => path.split(/[\\/]/)[0] ?? '';

function importsOf(path: string): string[] {
  const text = readFileSync(join(SRC, path), 'utf8');
  const names = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
  return names.map((name) => {
    if (name === '#runtime') return 'crypto';
    return name.startsWith('.') ? relative(SRC, resolve(SRC, dirname(path), name)) : '';
  });
}

describe('the rooms of src', () => {
  for (const path of files) {
    const room = roomOf(path);
    it(`${path} stands in a known room`, () => assert.ok(room in LAYERS, room));
    it(`${path} imports downward only`, () => {
      const upward = importsOf(path)
        .filter((name) => name !== '' && roomOf(name) !== room)
        .filter((name) => (LAYERS[roomOf(name)] ?? Number.POSITIVE_INFINITY) >= (LAYERS[room] ?? 0));
      assert.deepEqual(upward, []);
    });
  }

  it('only src/config reads the environment', () => {
    const readers = files.filter((path) => /process\.env\b/.test(readFileSync(join(SRC, path), 'utf8')));
    assert.deepEqual(
      readers.filter((path) => roomOf(path) !== 'config'),
      [],
    );
  });

  it('proofs can be used in a browser: no Node module beneath them', () => {
    const seen = new Set<string>();
    const visit = (path: string): string[] => {
      if (seen.has(path)) return [];
      seen.add(path);
      const text = readFileSync(join(SRC, path), 'utf8');
      const node = /from 'node:/.test(text) ? [path] : [];
      const next = [...text.matchAll(/from '(\.[^']+|#runtime)'/g)].map((match) =>
        match[1] === '#runtime'
          ? 'crypto/runtime-portable.ts'
          : relative(SRC, resolve(SRC, dirname(path), match[1] ?? '')),
      );
      return [...node, ...next.flatMap(visit)];
    };
    const nodeModules = files.filter((path) => roomOf(path) === 'proof').flatMap(visit);
    assert.deepEqual(nodeModules, []);
  });
});
