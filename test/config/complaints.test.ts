import assert from 'node:assert/strict';
import { complaints, ROUTE } from './folder.ts';

const main = (text: string) => ({ 'lemma.yaml': text });
const withRoute = (from: string, to: string) => main(`routes:\n${ROUTE.replace(from, to)}`);

interface Case {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly lines: readonly string[];
}

const CASES: readonly Case[] = [
  {
    name: 'an unknown key, with the nearest name',
    files: main(`org: acme\nroutes:\n${ROUTE}    rsik: low\n`),
    lines: ['lemma.yaml:12: routes[0].rsik: unknown key; did you mean "risk"?'],
  },
  {
    name: 'an unknown key with nothing near: the few that are known',
    files: main('bundles:\n  whatever: x\n'),
    lines: [
      'lemma.yaml:2: bundles.whatever: unknown key; known here: source, every, rewind_to, keys, opa_keys',
    ],
  },
  {
    name: 'a key of the prototype',
    files: main('__proto__: {org: x}\n'),
    lines: ['lemma.yaml:1: __proto__: unknown key'],
  },
  {
    name: 'several at once, by line',
    files: main('org: ACME\nlisten:\n  control: 8080\n  grcp: x\nlog: {keep: 90}\n'),
    lines: [
      'lemma.yaml:1: org: must be 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit',
      'lemma.yaml:3: listen.control: must be text: put it in quotes',
      'lemma.yaml:4: listen.grcp: unknown key; did you mean "grpc"?',
      'lemma.yaml:5: log.keep: must be text: put it in quotes',
    ],
  },
  {
    name: 'headers for a collector that would go over the network in the clear',
    files: {
      ...main('telemetry:\n  traces: {endpoint: http://collector.example:4318, headers_file: h}\n'),
      h: 'a: b',
    },
    lines: [
      'lemma.yaml:2: telemetry.traces.endpoint: would get what is in headers_file in the clear: use https',
    ],
  },
  {
    name: 'a collector with credentials, and one without its headers',
    files: main('telemetry:\n  traces: {endpoint: https://a:b@collector.example, sampling_ratio: 2}\n'),
    lines: [
      'lemma.yaml:2: telemetry.traces.endpoint: must hold no credentials: use headers_file',
      'lemma.yaml:2: telemetry.traces.sampling_ratio: must be <= 1',
    ],
  },
  {
    name: 'peers without an authority to name them',
    files: {
      ...main(
        "listen:\n  control:\n    address: 127.0.0.1:0\n    tls: {cert: c, key: k, peers: ['spiffe://a/b']}\n",
      ),
      c: '',
      k: '',
    },
    lines: ['lemma.yaml:4: listen.control.tls.peers: needs client_ca: without it no client shows who it is'],
  },
  {
    name: 'a peer that is no SPIFFE ID',
    files: {
      ...main(
        'listen:\n  grpc:\n    - {address: 127.0.0.1:0, tls: {cert: c, key: c, client_ca: c, peers: [envoy]}}\n',
      ),
      c: '',
    },
    lines: [
      'lemma.yaml:3: listen.grpc[0].tls.peers[0]: must be a SPIFFE ID, or all below one: spiffe://acme/ns/prod/*',
    ],
  },
  {
    name: 'files of TLS that are not there',
    files: main('listen: {decision: {address: 127.0.0.1:0, tls: {cert: /c, key: /k}}}\n'),
    lines: [
      'lemma.yaml:1: listen.decision.tls.cert: no such file: /c',
      'lemma.yaml:1: listen.decision.tls.key: no such file: /k',
    ],
  },
  {
    name: 'permissions of a socket that are none',
    files: main("listen: {control: {address: 'unix:///tmp/c.sock', mode: rw}}\n"),
    lines: ['lemma.yaml:1: listen.control.mode: must be octal permissions in quotes: "0660"'],
  },
  {
    name: 'a long form without its address',
    files: main('listen: {control: {mode: "0600"}}\n'),
    lines: ['lemma.yaml:1: listen.control.address: is missing'],
  },
  {
    name: 'a duplicate key, and what else is wrong',
    files: main('org: a\norg: b\nenv: B\n'),
    lines: [
      'lemma.yaml:2: duplicate key org: keep one',
      'lemma.yaml:3: env: must be 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit',
    ],
  },
  {
    name: 'a missing member, at what lacks it',
    files: withRoute('    risk: low\n', ''),
    lines: ['lemma.yaml:2: routes[0].risk: is missing'],
  },
  {
    name: 'a value outside its list',
    files: withRoute('risk: low', 'risk: mild'),
    lines: ['lemma.yaml:10: routes[0].risk: must be one of low, high, critical'],
  },
  {
    name: 'an audience with a path',
    files: withRoute('audience: https://api.example.com', 'audience: https://api.example.com/v1'),
    lines: [
      'lemma.yaml:9: routes[0].audience: must be an origin, scheme and host without a path: https://api.example.com',
    ],
  },
  {
    name: 'a host in capitals',
    files: withRoute('host: api', 'host: API'),
    lines: ['lemma.yaml:3: routes[0].host: must be lower case: api.example.com'],
  },
  {
    name: 'a host with a port',
    files: withRoute('example.com\n', 'example.com:443\n'),
    lines: ['lemma.yaml:3: routes[0].host: must have no port: hosts are compared without it'],
  },
  {
    name: 'a wildcard within a host',
    files: withRoute('host: api.example.com', 'host: api.*.com'),
    lines: [
      'lemma.yaml:3: routes[0].host: may have * only alone, or as the whole first label: *.example.com',
    ],
  },
  {
    name: '** before the end of a path',
    files: withRoute('/v1/documents/{id}', '/v1/**/x'),
    lines: ['lemma.yaml:4: routes[0].path: may have ** only as the last segment'],
  },
  {
    name: 'one {name} twice in a path',
    files: withRoute('/v1/documents/{id}', '"/{id}/{id}"'),
    lines: ['lemma.yaml:4: routes[0].path: has {id} twice: give each a name of its own'],
  },
  {
    name: '{name} as a part of a segment',
    files: withRoute('/v1/documents/{id}', '/v1/doc-{id}'),
    lines: [
      'lemma.yaml:4: routes[0].path: must have {name} as a whole segment, a name of letters, digits and _',
    ],
  },
  {
    name: '* within a path',
    files: withRoute('/v1/documents/{id}', '/v1/*'),
    lines: [
      'lemma.yaml:4: routes[0].path: has no * within a segment: {name} is any one segment, ** any rest',
    ],
  },
  {
    name: 'a path that no request can have',
    files: withRoute('/v1/documents/{id}', '/v1/../x'),
    lines: ['lemma.yaml:4: routes[0].path: no request can match it, it is ambiguous: empty or dot segment'],
  },
  {
    name: 'a method in small letters',
    files: withRoute('[GET]', '[GET, put]'),
    lines: ['lemma.yaml:5: routes[0].methods[1]: must be an HTTP method in upper case'],
  },
  {
    name: 'a wildcard among the scopes that a route asks for',
    files: withRoute('[documents.read]', '[documents.*]'),
    lines: [
      'lemma.yaml:8: routes[0].scope[0]: must be 1 to 8 segments of a-z 0-9 _ - joined by dots, no wildcard',
    ],
  },
  {
    name: 'two routes of one id',
    files: main(`routes:\n${ROUTE}${ROUTE}`),
    lines: ['lemma.yaml:11: routes[1].id: "documents.read" is taken already, by item [0]'],
  },
  {
    name: 'an override header that cannot be permitted',
    files: main('permit_method_override: [X-Method-Overide]'),
    lines: [
      'lemma.yaml:1: permit_method_override[0]: is none of the headers that can be permitted; did you mean "X-Method-Override"?',
    ],
  },
  {
    name: 'a route in its own file, by that name and line',
    files: { 'lemma.yaml': 'routes: routes.yaml', 'routes.yaml': `# map\n${ROUTE.replace('risk', 'rsk')}` },
    lines: [
      'routes.yaml:2: routes[0].risk: is missing',
      'routes.yaml:10: routes[0].rsk: unknown key; did you mean "risk"?',
    ],
  },
  {
    name: 'a routes file beside a bad main file, both in one go',
    files: { 'lemma.yaml': 'orgg: x\nroutes: routes.yaml', 'routes.yaml': 'routs: []' },
    lines: [
      'lemma.yaml:1: orgg: unknown key; did you mean "org"?',
      'routes.yaml:1: routes: is missing',
      'routes.yaml:1: routs: unknown key; did you mean "routes"?',
    ],
  },
  {
    name: 'a routes file that is not there',
    files: main('routes: routes.yaml'),
    lines: ['routes.yaml: no such file'],
  },
  {
    name: 'an empty routes file, which is no list',
    files: { 'lemma.yaml': 'routes: routes.yaml', 'routes.yaml': '' },
    lines: ['routes.yaml:1: must be array or object'],
  },
  {
    name: 'two listeners on one address',
    files: main('listen:\n  decision: 127.0.0.1:8080\n'),
    lines: ['lemma.yaml:1: listen.control: 127.0.0.1:8080 is taken already, by listen.decision'],
  },
  {
    name: 'a folder of bundles that is not there',
    files: main('bundles:\n  source: /nowhere/at/all\n'),
    lines: [
      'lemma.yaml:2: bundles.source: must be "embedded", a folder or a repository that is there: /nowhere/at/all is none',
    ],
  },
  {
    name: 'MCP servers that are nowhere, or in two places',
    files: main(`firewall:
  mcp:
    - id: files
      tools: []
    - id: files
      command: [node]
      url: https://mcp.example.com
      tools: []
    - id: remote
      url: https://mcp.example.com
      env: {A: b}
      tools:
        - {name: read, scope: [], risk: low}
        - {name: read, scope: [], risk: low}
        - {name: ${'x'.repeat(64)}, scope: [], risk: low}`),
    lines: [
      'lemma.yaml:3: firewall.mcp[0]: must have a command (stdio) or a url (streamable HTTP), and not both',
      'lemma.yaml:5: firewall.mcp[1].id: "files" is taken already, by item [0]',
      'lemma.yaml:5: firewall.mcp[1]: must have a command (stdio) or a url (streamable HTTP), and not both',
      'lemma.yaml:11: firewall.mcp[2].env: means nothing beside url',
      'lemma.yaml:14: firewall.mcp[2].tools[1].name: "read" is taken already, by item [0]',
      `lemma.yaml:15: firewall.mcp[2].tools[2].action: is needed: mcp.remote.${'x'.repeat(64)} is too long for one`,
    ],
  },
  {
    name: "the firewall handing on the connection's own headers, or ours",
    files: main(`firewall:
  apis:
    - id: a
      base_url: https://a.example
      methods: [GET]
      path_prefixes: [/v1/]
      scope: []
      risk: low
      action: a
      forward_headers: [Accept, Host, X-Lemma-Credential]
`),
    lines: [
      'lemma.yaml:6: firewall.apis[0].path_prefixes[0]: must have no trailing slash: /v1',
      "lemma.yaml:10: firewall.apis[0].forward_headers[1]: is the connection's own header: it cannot be forwarded or injected",
      "lemma.yaml:10: firewall.apis[0].forward_headers[2]: is Lemma's own header: it stays on this side",
    ],
  },
  ...(
    [
      [
        'http://policies.example.com/bundles',
        'must be https, unless it is on this machine: https://policies.example.com/bundles',
      ],
      ['https://user:secret@policies.example.com/bundles', 'must hold no credentials'],
      ['https://policies.example.com/bundles?token=1', 'must have no query and no fragment'],
      ['https://', 'must be a URL as in https://policies.example.com/bundles'],
    ] as const
  ).map(([source, message]) => ({
    name: `a server of bundles as ${source}`,
    files: { 'lemma.yaml': `bundles:\n  source: "${source}"\n` },
    lines: [`lemma.yaml:2: bundles.source: ${message}`],
  })),
  {
    name: 'a route that shows a policy what it must not see, or no header',
    files: {
      'lemma.yaml': 'routes: routes.yaml\n',
      'routes.yaml': `- id: a
  host: api.example.com
  path: /a
  methods: [GET]
  api: a
  action: a
  scope: []
  audience: https://api.example.com
  risk: low
  headers:
    - X-Tenant
    - Cookie
    - X_Lemma_Note
    - "x tenant"
`,
    },
    lines: [
      'routes.yaml:12: routes[0].headers[1]: holds a secret, which no policy sees',
      'routes.yaml:13: routes[0].headers[2]: holds a secret, which no policy sees',
      'routes.yaml:14: routes[0].headers[3]: must be a header name',
    ],
  },
  {
    name: 'an upstream where a cloud keeps its secrets, however it is written',
    files: main(`firewall:
  apis:
    - {id: a, base_url: "http://169.254.169.254/latest", methods: [GET], path_prefixes: [/], scope: [], risk: low, action: a}
    - {id: b, base_url: "http://2852039166", methods: [GET], path_prefixes: [/], scope: [], risk: low, action: a}
    - {id: c, base_url: "http://[::ffff:a9fe:a9fe]", methods: [GET], path_prefixes: [/], scope: [], risk: low, action: a}
`),
    lines: [
      'lemma.yaml:3: firewall.apis[0].base_url: is 169.254.169.254, which is link-local: it is never connected to',
      'lemma.yaml:4: firewall.apis[1].base_url: is 169.254.169.254, which is link-local: it is never connected to',
      'lemma.yaml:5: firewall.apis[2].base_url: is ::ffff:a9fe:a9fe, which is link-local: it is never connected to',
    ],
  },
  {
    name: 'a forward proxy to anywhere, and for no one audience',
    files: main(`firewall:
  proxy:
    scope: []
    risk: low
    allow:
      - "*:443"
      - api.example.com
      - "169.254.169.254:80"
      - "*.example.com:443"
    credential_file: nowhere
`),
    lines: [
      'lemma.yaml:2: firewall.proxy.audience: must be said for *.example.com:443: the origin that a proof must be for, such as https://egress.example',
      'lemma.yaml:6: firewall.proxy.allow[0]: must name its hosts: * alone would be every address there is',
      'lemma.yaml:7: firewall.proxy.allow[1]: must be host:port, such as api.example.com:443 or *.example.com:443',
      'lemma.yaml:8: firewall.proxy.allow[2]: is 169.254.169.254, which is link-local: it is never connected to',
    ],
  },
  {
    name: 'TLS, which is not there yet',
    files: main('listen:\n  grpc: 127.0.0.1:0\n  tls: {cert: a}\n'),
    lines: ['lemma.yaml:3: listen.tls: unknown key; known here: grpc, decision, control'],
  },
  {
    name: 'a list where a mapping belongs',
    files: main('- org: acme\n'),
    lines: ['lemma.yaml:1: must be object'],
  },
  {
    name: 'YAML that is none, by its line',
    files: main('org: acme\nenv: [a\n'),
    lines: ['lemma.yaml:3: Flow sequence in block collection must be sufficiently indented and end with a ]'],
  },
  {
    name: 'a second document',
    files: main('org: a\n---\norg: b\n'),
    lines: ['lemma.yaml:2: holds a second document: keep one'],
  },
  {
    name: 'YAML 1.1, where `no` is false',
    files: main('%YAML 1.1\n---\norg: no\n'),
    lines: ['lemma.yaml:1: must be YAML 1.2: take off the %YAML directive'],
  },
  {
    name: 'a tag of its own',
    files: main('org: !secret acme\n'),
    lines: ['lemma.yaml:1: Unresolved tag: !secret'],
  },
  {
    name: 'an alias bomb',
    files: main(
      `a: &a [x, x, x, x, x, x, x, x, x]\n${['b', 'c', 'd', 'e', 'f']
        .map((n, i) => `${n}: &${n} [${Array(9).fill(`*${'abcde'[i]}`).join(', ')}]\n`)
        .join('')}`,
    ),
    lines: ['lemma.yaml:1: has too many aliases: write the values out'],
  },
  {
    name: 'a value that holds itself',
    files: main('routes: &r [*r]\n'),
    lines: ['lemma.yaml:1: routes[0]: must be object'],
  },
  {
    name: 'nesting without end',
    files: main('['.repeat(20_000)),
    lines: ['lemma.yaml:1: is nested too deeply'],
  },
];

describe('a configuration is refused, with its place and the mend, for', () => {
  for (const { name, files, lines } of CASES) {
    it(name, () => assert.deepEqual(complaints(files), lines));
  }

  it('what a variable says, by its name', () => {
    assert.deepEqual(complaints({}, { env: { LEMMA_LISTEN_GRPC: ':9191' } }), [
      'LEMMA_LISTEN_GRPC: listen.grpc: must name its host: 127.0.0.1:9191, or 0.0.0.0:9191 for all',
    ]);
  });

  it('what a flag says, by its name', () => {
    assert.deepEqual(complaints({ 'lemma.yaml': 'org: ACME' }, { flags: { org: 'UMBRELLA' } }), [
      '--org: org: must be 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit',
    ]);
  });

  it('a file that is asked for and not there', () => {
    assert.deepEqual(complaints({}, { file: 'other.yaml' }), ['other.yaml: no such file']);
  });
});
