import assert from 'node:assert/strict';
import { parseStoreUrl, shownStoreUrl } from '../../src/config/store-url.ts';
import type { StoreAddress } from '../../src/schema/config.ts';

function parsed(url: string): StoreAddress {
  const address = parseStoreUrl(url);
  if (typeof address === 'string') throw new Error(address);
  return address;
}

describe('the URL of a store', () => {
  it('is taken apart', () => {
    assert.deepEqual(parsed('postgres://ann:p%40ss@db.example.com:5433/authz?schema=live'), {
      host: 'db.example.com',
      port: 5433,
      user: 'ann',
      password: 'p@ss',
      database: 'authz',
      schema: 'live',
      tls: { mode: 'verify-full', ca: null, cert: null, key: null },
    });
  });

  it('may leave the password to the password file, and has a port and a schema by itself', () => {
    const { password, port, schema } = parsed('postgresql://ann@db/authz');
    assert.deepEqual([password, port, schema], [null, 5432, 'lemma']);
  });

  it('may be a Unix socket, without TLS', () => {
    const { host, user, tls } = parsed('postgres:///authz?host=/run/postgresql&user=ann');
    assert.deepEqual([host, user, tls], ['/run/postgresql', 'ann', null]);
  });

  const modes: [string, string | null][] = [
    ['localhost/d', null],
    ['127.0.0.1/d', null],
    ['[::1]/d', null],
    ['localhost.example.com/d', 'verify-full'],
    ['10.0.0.1/d', 'verify-full'],
    ['db/d?sslmode=disable', null],
    ['db/d?sslmode=require', 'require'],
    ['db/d?sslmode=require&sslrootcert=ca.pem', 'verify-ca'],
    ['db/d?sslmode=verify-ca', 'verify-ca'],
  ];
  for (const [rest, mode] of modes) {
    it(`${rest}: ${mode ?? 'no TLS'}`, () => {
      assert.equal(parsed(`postgres://ann@${rest}`).tls?.mode ?? null, mode);
    });
  }

  const refused: [string, RegExp][] = [
    ['mysql://a@b/c', /must be a URL/],
    ['./lemma.db', /must be a URL/],
    ['postgres://db/authz', /name a user/],
    ['postgres://ann@db', /name one database/],
    ['postgres://ann@db/a/b', /name one database/],
    ['postgres:///authz?user=ann', /name a host/],
    ['postgres://ann@db/authz?sslmode=prefer', /sslmode prefer: must be one of disable, require/],
    ['postgres://ann@db/authz?sslmod=require', /unknown parameter sslmod/],
    ['postgres://ann@db/authz?schema=a&schema=b', /one value for schema/],
    ['postgres://ann@db/authz?schema=Lemma', /schema of a-z/],
    ['postgres://ann@db/authz?schema=pg_catalog', /schema of a-z/],
    ['postgres://ann@db/authz?schema=a%22;drop', /schema of a-z/],
    ['postgres://ann@db/authz?sslcert=a.pem', /both sslcert and sslkey/],
    ['postgres://ann@db/authz?sslmode=disable&sslrootcert=ca.pem', /certificates but no TLS/],
    ['postgres:///d?host=/run/pg&user=ann&sslmode=require', /Unix socket/],
    ['postgres://ann:100%@db/authz', /%25 in place of a %/],
  ];
  for (const [url, message] of refused) {
    it(`is not ${url}`, () => assert.match(String(parseStoreUrl(url)), message));
  }

  it('is shown without its password', () => {
    assert.equal(shownStoreUrl(parsed('postgres://ann:secret@[::1]:1/d')), 'postgres://ann@[::1]:1/d');
  });
});
