import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addressProblem, isLocal, parseAddress } from '../../src/config/address.ts';
import { nodeName } from '../../src/config/effective.ts';
import { invocation, userFolder } from '../../src/config/environment.ts';
import { feedProblem, parseFeedUrl } from '../../src/config/feed-url.ts';
import { nearest } from '../../src/config/nearest.ts';
import { parseDuration, parseSize } from '../../src/config/quantity.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { readYaml } from '../../src/config/yaml-source.ts';
import { ID_PATTERN } from '../../src/schema/common.ts';

describe('an address', () => {
  const good = [
    '127.0.0.1:0',
    'localhost:8080',
    '0.0.0.0:65535',
    '[::1]:9191',
    '[::]:1',
    'pdp.example.com:1',
  ];
  for (const text of [...good, 'unix:///run/lemma/pdp.sock']) {
    it(`may be ${text}`, () => assert.equal(addressProblem(text), null));
  }
  const bad = [
    '8080',
    ':8080',
    '127.0.0.1',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '256.0.0.1:1',
    '::1:80',
    '[127.0.0.1]:1',
    'a b:1',
    'http://127.0.0.1:1',
    'unix://run/x.sock',
    'unix:run/x.sock',
    `unix:///${'x'.repeat(120)}`,
    '',
  ];
  for (const text of bad) {
    it(`may not be "${text.slice(0, 20)}"`, () => assert.notEqual(addressProblem(text), null));
  }

  it('is taken apart', () => {
    assert.deepEqual(
      [parseAddress('[::1]:80'), parseAddress('unix:///a/b'), parseAddress('x')],
      [{ kind: 'tcp', host: '::1', port: 80 }, { kind: 'unix', path: '/a/b' }, null],
    );
  });

  it('is local on loopback and on a socket only', () => {
    const local = [
      '127.0.0.1:1',
      '127.9.9.9:1',
      '[::1]:1',
      '[0:0:0:0:0:0:0:1]:1',
      'localhost:1',
      'unix:///a',
    ];
    const open = ['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'localhost.example.com:1', '[::ffff:127.0.0.1]:1'];
    const answer = (text: string) => {
      const address = parseAddress(text);
      return address !== null && isLocal(address);
    };
    assert.deepEqual([...local, ...open].filter(answer), local);
  });
});

describe('the address of a Redis', () => {
  const server = (more: object) => ({
    host: 'h',
    port: 6379,
    tls: false,
    username: null,
    password: null,
    database: 0,
    ...more,
  });
  const good: [text: string, more: object][] = [
    ['redis://h', {}],
    ['redis://h/', {}],
    ['redis://127.0.0.1:1/15', { host: '127.0.0.1', port: 1, database: 15 }],
    ['rediss://[::1]:6380', { host: '::1', port: 6380, tls: true }],
    ['REDIS://:pw@h', { password: 'pw' }],
    ['rediss://u%40x:p%3A%2F%25@h', { tls: true, username: 'u@x', password: 'p:/%' }],
  ];
  for (const [text, more] of good)
    it(`may be ${text}`, () => assert.deepEqual(parseFeedUrl(text), server(more)));

  const bad = [
    '',
    'redis',
    'redis:h',
    'redis://',
    'http://h',
    'redis://h:0',
    'redis://h:65536',
    'redis://h/x',
    'redis://h/01',
    'redis://h/-1',
    'redis://h/0/1',
    'redis://h?db=1',
    'redis://h#x',
    'redis://u@h',
    'redis://:%zz@h',
    'redis://:%ff@h',
    'redis://a b',
    'redis://h_x',
  ];
  for (const text of bad) {
    it(`may not be "${text}"`, () =>
      assert.deepEqual([parseFeedUrl(text), typeof feedProblem(text)], [null, 'string']));
  }

  it('is never repeated in what is said of it', () => {
    const texts = [
      'redis://:s3cret@h/x',
      'http://:s3cret@h',
      'redis://:s3cret%zz@h',
      's3cret',
      'redis://s3cret@h',
    ];
    for (const text of texts) assert.doesNotMatch(feedProblem(text) ?? '', /s3cret/);
  });
});

describe('a duration and a size', () => {
  it('count in milliseconds and bytes', () => {
    assert.deepEqual(
      [parseDuration('90s'), parseDuration('2w'), parseSize('20GB'), parseSize('1KiB'), parseSize('7')],
      [90_000, 1_209_600_000, 20e9, 1024, 7],
    );
  });

  it('are refused without a known unit, or when they cannot be counted', () => {
    const texts = ['90', '1.5h', '-1d', '0d', '1y', '', '9999999999999w'];
    assert.deepEqual(
      texts.map(parseDuration),
      texts.map(() => null),
    );
  });

  it('give back what was counted', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1e6 }), (n) => parseSize(`${n}MiB`) === n * 2 ** 20));
  });
});

describe('the nearest name', () => {
  it('forgives a slip', () => assert.equal(nearest('rsik', ['risk', 'host']), 'risk'));
  it('is none when nothing is near', () => assert.equal(nearest('whatever', ['risk', 'host']), null));
  it('is none for a word of which nothing is left', () => assert.equal(nearest('xy', ['id', 'host']), null));
});

describe('the settings', () => {
  it('are named after their fields', () => {
    const grpc = SETTINGS.find((s) => s.field === 'listen.grpc');
    assert.deepEqual([grpc?.flag, grpc?.variable], ['--listen-grpc', 'LEMMA_LISTEN_GRPC']);
  });
  it('have flags of their own', () =>
    assert.equal(new Set(SETTINGS.map((s) => s.flag)).size, SETTINGS.length));
  it('all say what they are', () =>
    assert.deepEqual(
      SETTINGS.filter((s) => s.description === ''),
      [],
    ));
});

describe('reading YAML', () => {
  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        readYaml('x', text).locate('routes[0].id');
      }),
    );
  });

  it('finds every member of a mapping on its own line', () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z.]{0,6}$/), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(names, (keys) => {
        const source = readYaml('x', keys.map((key) => `"${key}": 1\n`).join(''));
        return keys.every((key, i) => source.locate(key).line === i + 1);
      }),
    );
  });

  it('locates through an alias', () => {
    assert.equal(readYaml('x', 'a: &a\n  b: 1\nc: *a\n').locate('c.b').line, 2);
  });
});

describe("the user's folder", () => {
  const npm = { INIT_CWD: '/home/me', npm_lifecycle_event: 'lemma', npm_package_name: 'lemma-authz' };
  it("is the caller's when our own npm script runs", () =>
    assert.equal(userFolder(npm, '/clone'), '/home/me'));
  it("is the working folder in another package's script", () => {
    assert.equal(userFolder({ ...npm, npm_package_name: 'theirs' }, '/work'), '/work');
  });
  it('is the working folder without npm', () =>
    assert.equal(userFolder({ INIT_CWD: '/x' }, '/work'), '/work'));
});

describe('the name to call the program by', () => {
  const npm = { npm_lifecycle_event: 'lemma', npm_package_name: 'lemma-authz' };
  it('is the npm script in a clone', () =>
    assert.equal(invocation(npm, '/c/src/main.ts'), 'npm run -s lemma --'));
  it('is lemma when installed', () => assert.equal(invocation({}, '/usr/bin/lemma'), 'lemma'));
  it('is the script itself when run as such', () => {
    assert.equal(invocation({}, '/c/src/main.ts', '/c'), 'node src/main.ts');
  });
});

describe("a node's default name", () => {
  it('is always an id', () => {
    fc.assert(fc.property(fc.string(), (host) => new RegExp(ID_PATTERN).test(nodeName(host))));
  });
  it('keeps what it can', () => assert.equal(nodeName("Ada's Mac.local"), 'ada-s-mac.local'));
});
