import assert from 'node:assert/strict';
import { parseGitSource, parseRegoSource } from '../../src/config/git-source.ts';

describe('a repository as bundles.source', () => {
  const TAKEN: readonly (readonly [text: string, url: string, ref: string, path: string | null])[] = [
    ['git+file:///srv/policies.git#main', '/srv/policies.git', 'refs/heads/main', null],
    ['git+file:./repo#main', './repo', 'refs/heads/main', null],
    ['git+file:///srv/a%20b#main', '/srv/a b', 'refs/heads/main', null],
    ['git+https://host:8443/a/b.git#team/x', 'https://host:8443/a/b.git', 'refs/heads/team/x', null],
    ['git+ssh://git@host/b.git#refs/tags/v1.2', 'ssh://git@host/b.git', 'refs/tags/v1.2', null],
    ['git+https://host/b.git?path=ops/lemma#main', 'https://host/b.git', 'refs/heads/main', 'ops/lemma'],
  ];
  for (const [text, url, ref, path] of TAKEN) {
    it(`is ${text}`, () => {
      const source = parseGitSource(text);
      assert.ok(typeof source === 'object', String(source));
      assert.deepEqual([source.url, source.ref, source.path], [url, ref, path]);
    });
  }

  const REFUSED: readonly (readonly [what: string, text: string, why: RegExp])[] = [
    ['without a branch', 'git+https://host/b.git', /must name a branch/],
    ['with a ref that is an option', 'git+https://host/b.git#--upload-pack=x', /must name a branch/],
    ['with a range for a ref', 'git+https://host/b.git#a..b', /must name a branch/],
    ['with a refspec for a ref', 'git+https://host/b.git#main:other', /must name a branch/],
    ['with a ref of neither kind', 'git+https://host/b.git#refs/pull/1/head', /must name a branch/],
    ['with a revision for a ref', 'git+https://host/b.git#main@{1}', /must name a branch/],
    ['with a lock for a ref', 'git+https://host/b.git#main.lock', /must name a branch/],
    ['with a transport that runs a command', 'git+ext::sh -c x#main', /must be git\+file:/],
    ['in the clear', 'git+http://host/b.git#main', /must be git\+file:/],
    ['with a password', 'git+https://u:secret@host/b.git#main', /must hold no password/],
    ['with a user over https', 'git+https://u@host/b.git#main', /must name a repository/],
    ['whose host is an option', 'git+ssh://-oProxyCommand=x/b.git#main', /must name a repository/],
    ['whose user is an option', 'git+ssh://-x@host/b.git#main', /must name a repository/],
    ['without a path', 'git+https://host#main', /must name a repository/],
    ['of another machine as a file', 'git+file://host/srv/b#main', /must name a repository/],
    ['with a line feed', 'git+file:///srv/%0ab#main', /must name a repository/],
    ['with a folder above', 'git+https://host/b.git?path=../x#main', /may have \?path=/],
    ['with two folders', 'git+https://host/b.git?path=a&path=b#main', /may have \?path=/],
    ['with another parameter', 'git+https://host/b.git?depth=1#main', /may have \?path=/],
  ];
  for (const [what, text, why] of REFUSED) {
    it(`is refused ${what}`, () => {
      const problem = parseGitSource(text);
      assert.match(typeof problem === 'string' ? problem : JSON.stringify(problem), why);
    });
  }

  it('is no folder of policies: that is rego+file:', () => {
    assert.deepEqual(parseRegoSource('rego+file:./a%20b'), { kind: 'folder', path: './a b' });
  });

  for (const text of [
    'rego+file:',
    'rego+https://host/x',
    'rego+file://host/x',
    'rego+file:./x#main',
    'rego+file:./x?path=y',
  ])
    it(`is no folder of policies either: ${text}`, () => {
      assert.match(String(parseRegoSource(text)), /must be a folder of policies as in rego\+file:/);
    });
});
