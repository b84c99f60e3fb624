import assert from 'node:assert/strict';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { InputError } from '../../src/reason.ts';
import { folderWith, load, ROUTE } from './folder.ts';

const KEY = '{kty: OKP, crv: Ed25519, x: HLRN-qE3JjnWB-j-nHQd6fnfFDsSCsm29v-30OE9FDg}';
const trust = (...homes: string[]) =>
  `trust:\n${homes.map((home) => `  - {${home}, keys: [${KEY}]}\n`).join('')}`;

describe('a configuration with nothing said', () => {
  it('listens on the default loopback ports', () => {
    const plain = (address: string) => ({ address, tls: null, mode: 0o660 });
    assert.deepEqual(load({}).config.listen, {
      grpc: [plain('127.0.0.1:9191')],
      decision: plain('127.0.0.1:8181'),
      control: plain('127.0.0.1:8080'),
    });
  });

  it('keeps its data in .lemma of the folder', () => {
    const { config, folder } = load({});
    assert.equal(config.data, join(folder, '.lemma'));
  });

  it('has no file to watch', () => assert.deepEqual(load({}).files, []));

  it('has no firewall', () => assert.equal(load({}).config.firewall, null));

  it('reads an empty file as nothing said', () => {
    assert.equal(load({ 'lemma.yaml': '# nothing yet\n' }).config.org, 'local');
  });

  it('reads JSON, which is YAML', () =>
    assert.equal(load({ 'lemma.yaml': '{"org": "acme"}' }).config.org, 'acme'));
});

describe('org and env', () => {
  const home = (text: string) => {
    const { org, env } = load({ 'lemma.yaml': text }).config;
    return `${org}/${env}`;
  };

  it('are local and default without trust', () => assert.equal(home(''), 'local/default'));
  it('are those of the only trust entry', () =>
    assert.equal(home(trust('org: acme, env: prod')), 'acme/prod'));
  it('are not guessed from two entries', () => {
    assert.equal(home(trust('org: acme, env: prod', 'org: umbrella, env: prod')), 'local/default');
  });
  it('are as said, whatever the trust', () => {
    assert.equal(home(`org: own\nenv: dev\n${trust('org: acme, env: prod')}`), 'own/dev');
  });
  it('are the default of routes', () => {
    const [route] = load({ 'lemma.yaml': `org: own\nroutes:\n${ROUTE}` }).config.routes;
    assert.equal(`${route?.org}/${route?.env}`, 'own/default');
  });
});

describe('precedence', () => {
  const file = { 'lemma.yaml': 'org: from-file\nenv: from-file\nnode: from-file\n' };
  const { config } = load(file, {
    flags: { org: 'from-flag' },
    env: { LEMMA_ORG: 'from-env', LEMMA_ENV: 'from-env' },
  });

  it('puts a flag before its variable', () => assert.equal(config.org, 'from-flag'));
  it('puts a variable before the file', () => assert.equal(config.env, 'from-env'));
  it('puts the file before the default', () => assert.equal(config.node, 'from-file'));

  it('reaches into parts that the file does not have', () => {
    assert.equal(
      load({}, { env: { LEMMA_LISTEN_DECISION: '[::1]:0' } }).config.listen.decision.address,
      '[::1]:0',
    );
  });

  it('takes several addresses in one text', () => {
    const { listen } = load({}, { flags: { 'listen.grpc': '127.0.0.1:0, unix:///tmp/lemma.sock' } }).config;
    assert.deepEqual(
      listen.grpc.map(({ address }) => address),
      ['127.0.0.1:0', 'unix:///tmp/lemma.sock'],
    );
  });
});

describe('relative paths', () => {
  const files = { 'etc/lemma.yaml': 'data: ./state\nroutes: routes.yaml\n', 'etc/routes.yaml': '[]' };

  it('in a file are meant from its folder', () => {
    const { config, folder } = load(files, { file: 'etc/lemma.yaml' });
    assert.equal(config.data, join(folder, 'etc/state'));
  });

  it("in a flag are meant from the user's folder", () => {
    const { config, folder } = load(files, { file: 'etc/lemma.yaml', flags: { data: 'state' } });
    assert.equal(config.data, join(folder, 'state'));
  });

  it("of the routes file are meant from the configuration's folder, and watched", () => {
    const { files: watched, folder } = load(files, { file: 'etc/lemma.yaml' });
    assert.deepEqual(watched, [join(folder, 'etc/lemma.yaml'), join(folder, 'etc/routes.yaml')]);
  });

  it('of a file named by LEMMA_CONFIG are meant from its folder', () => {
    const { config, folder } = load(files, { env: { LEMMA_CONFIG: 'etc/lemma.yaml' } });
    assert.equal(config.data, join(folder, 'etc/state'));
  });
});

describe('a routes file', () => {
  const main = { 'lemma.yaml': 'org: acme\nroutes: routes.yaml\n' };

  it('may be the list itself', () => {
    const { config } = load({ ...main, 'routes.yaml': ROUTE });
    assert.equal(config.routes[0]?.id, 'documents.read');
  });

  it('may permit override headers beside the routes', () => {
    const { config } = load({
      ...main,
      'routes.yaml': 'routes: []\npermit_method_override: [X-HTTP-Method]\n',
    });
    assert.deepEqual(config.permit_method_override, ['x-http-method']);
  });

  it('is where its routes are located, list or mapping', () => {
    const list = load({ ...main, 'routes.yaml': ROUTE }).locate('routes[0].path');
    const mapping = load({ ...main, 'routes.yaml': `routes:\n${ROUTE}` }).locate('routes[0].path');
    assert.deepEqual(
      [list, mapping],
      [
        { file: 'routes.yaml', line: 3, column: 5 },
        { file: 'routes.yaml', line: 4, column: 5 },
      ],
    );
  });

  it('fills in what a route leaves open, with what lets least through', () => {
    const [route] = load({ ...main, 'routes.yaml': ROUTE }).config.routes;
    const { body, mode, encoded_slash, upgrade, forward_credential } = route ?? {};
    assert.deepEqual(
      { body, mode, public: route?.public, encoded_slash, upgrade, forward_credential },
      {
        body: 'none',
        mode: 'enforce',
        public: false,
        encoded_slash: 'deny',
        upgrade: 'deny',
        forward_credential: false,
      },
    );
  });
});

describe('headers that a route shows', () => {
  it('are in lower case, as requests have them', () => {
    const { config } = load({
      'lemma.yaml': 'routes: routes.yaml\n',
      'routes.yaml': `${ROUTE}    headers: [X-Tenant]\n`,
    });
    assert.deepEqual(config.routes[0]?.headers, ['x-tenant']);
  });
});

describe('a server of bundles', () => {
  it('is asked as often as `every` says', () => {
    const text = 'bundles: {source: "https://policies.example.com/bundles", every: 1m}';
    const { source, rego, every_ms } = load({ 'lemma.yaml': text }).config.bundles;
    assert.deepEqual([source, rego, every_ms], ['https://policies.example.com/bundles', null, 60_000]);
  });
});

describe('limits', () => {
  it('are filled in, a burst of two seconds among them', () => {
    const { limits } = load({ 'lemma.yaml': 'limits: {queue_ms: 20, per_source: {rate: 50}}' }).config;
    const per_source = { rate: 50, burst: 100 };
    assert.deepEqual(limits, {
      concurrency: 512,
      queue: 256,
      queue_ms: 20,
      log_ms: 500,
      feed_ms: 100,
      per_source,
    });
  });
});

describe('quantities', () => {
  it('are milliseconds and bytes once loaded', () => {
    const { log } = load({ 'lemma.yaml': 'log: {keep: 36h, max_bytes: 5GiB}' }).config;
    assert.deepEqual(log, { keep_ms: 36 * 3_600_000, max_bytes: 5 * 2 ** 30, when_full: 'deny' });
  });

  it('take plain bytes as a number too', () => {
    assert.equal(load({ 'lemma.yaml': 'log: {max_bytes: 1000000}' }).config.log.max_bytes, 1_000_000);
  });
});

describe('the firewall', () => {
  it('listens on its default port once it is named', () => {
    assert.deepEqual(load({ 'lemma.yaml': 'firewall: {}' }).config.firewall, {
      listen: '127.0.0.1:8787',
      apis: [],
      proxy: null,
      mcp: [],
      agents: [],
    });
  });

  it('finds the credential to inject beside the configuration', () => {
    const text = `firewall:
  apis:
    - {id: a, base_url: "https://a.example", methods: [GET], path_prefixes: [/], scope: [], risk: low, action: a,
       inject: {header: Authorization, value_file: secret}}
`;
    const { config, folder } = load({ 'lemma.yaml': text, secret: 'Bearer x' });
    assert.deepEqual(config.firewall?.apis[0]?.inject, {
      header: 'authorization',
      value_file: join(folder, 'secret'),
    });
  });
});

describe('the revision', () => {
  const folder = folderWith({});
  after(() => folder.remove());
  const revision = (text: string) => {
    folder.write('lemma.yaml', text);
    return loadConfig({ flags: {}, env: {}, cwd: folder.path }).revision;
  };

  it('stays when only the writing changes', () =>
    assert.equal(revision('org: acme'), revision('{"org": "acme"} # so')));
  it('changes with a value', () => assert.notEqual(revision('org: acme'), revision('org: other')));
  it('is the same with another feed: nobody guesses its password by it', () =>
    assert.equal(revision('feed: redis://:a@h'), revision('feed: redis://:b@h')));
  it('is the same with another collector of traces', () =>
    assert.equal(revision(''), revision('telemetry: {traces: {endpoint: http://127.0.0.1:4318}}')));
  it('is the same with other limits: nodes decide alike', () =>
    assert.equal(revision('limits: {concurrency: 8}'), revision('limits: {concurrency: 9}')));
});

describe('traces', () => {
  const endpoint = 'endpoint: https://collector.example/otlp/';
  it('are none by default', () => assert.equal(load({}).config.telemetry.traces, null));
  it('go below the endpoint', () => {
    const { traces } = load({ 'lemma.yaml': `telemetry: {traces: {${endpoint}}}` }).config.telemetry;
    assert.deepEqual(traces, {
      url: 'https://collector.example/otlp/v1/traces',
      headers_file: null,
      service_name: 'lemma',
      sampling_ratio: 1,
      timeout_ms: 10_000,
      max_queue_size: 4096,
    });
  });
  it('need the file that their headers are in', () =>
    assert.throws(
      () => load({ 'lemma.yaml': `telemetry: {traces: {${endpoint}, headers_file: none}}` }),
      /telemetry\.traces\.headers_file: no such file: \S+none/,
    ));
});

describe('a complaint that comes after loading', () => {
  it('gets the place of its field', () => {
    const loaded = load({ 'lemma.yaml': `org: acme\nroutes:\n${ROUTE}` });
    const error = loaded.locateError(
      new InputError([{ field: 'routes[0].path', message: 'ties with routes[1]' }]),
    );
    assert.equal(error.message, 'lemma.yaml:5: routes[0].path: ties with routes[1]');
  });

  it('names the flag that set its field', () => {
    const loaded = load({}, { flags: { 'listen.control': '127.0.0.1:1' } });
    const error = loaded.locateError(new InputError([{ field: 'listen.control', message: 'is taken' }]));
    assert.equal(error.message, '--listen-control: listen.control: is taken');
  });
});

describe('a variable that looks like ours', () => {
  it('is warned of, with the nearest name', () => {
    assert.deepEqual(load({}, { env: { LEMMA_LISTN_GRPC: 'x' } }).warnings, [
      'LEMMA_LISTN_GRPC: unknown variable, not used; did you mean "LEMMA_LISTEN_GRPC"?',
    ]);
  });

  it('is left alone when a client of the service uses it', () => {
    assert.deepEqual(load({}, { env: { LEMMA_PROOF_FILE: 'x', LEMMA_OPERATOR_KEY: 'y' } }).warnings, []);
  });
});

describe('a listener in its long form', () => {
  const LONG = `listen:
  grpc:
    - { address: 'unix:///tmp/lemma.sock', mode: '0600' }
    - address: 127.0.0.1:0
      tls: { cert: tls/server.pem, key: tls/server.key, client_ca: tls/ca.pem, peers: ['spiffe://acme/envoy/*'] }
  control: { address: '127.0.0.1:0' }
`;
  const files = { 'lemma.yaml': LONG, 'tls/server.pem': '', 'tls/server.key': '', 'tls/ca.pem': '' };

  it('has the files of its TLS from the folder of the configuration', () => {
    const { config, folder } = load(files);
    assert.deepEqual(config.listen.grpc[1]?.tls, {
      cert: join(folder, 'tls/server.pem'),
      key: join(folder, 'tls/server.key'),
      client_ca: join(folder, 'tls/ca.pem'),
      peers: ['spiffe://acme/envoy/*'],
    });
  });

  it('has the permissions of its socket', () => assert.equal(load(files).config.listen.grpc[0]?.mode, 0o600));

  it('is looked at again when a file of its TLS changes', () => {
    const { files: watched, folder } = load(files);
    assert.ok(watched.includes(join(folder, 'tls/server.pem')));
  });
});
