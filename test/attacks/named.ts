/** Where an attack is tried. */
export type Where =
  /** By this name in `cases.ts` or `plays.ts`: over every transport. */
  | { readonly kind: 'case'; readonly names: readonly string[] }
  /** In another test file, under a title that holds this text. */
  | { readonly kind: 'test'; readonly file: string; readonly title: string }
  /** Nowhere: the part of Lemma that it attacks is not there yet. */
  | { readonly kind: 'later'; readonly part: string };

const here = (...names: string[]): Where => ({ kind: 'case', names });
const there = (file: string, title: string): Where => ({ kind: 'test', file: `${file}.test.ts`, title });

type Named = readonly (readonly [attack: string, ...where: Where[]])[];

const CHAIN_AND_KEYS: Named = [
  ['flipped bit', here("a flipped bit in the root's signature", "a flipped bit in the run's signature")],
  ['unknown or self-signed root', here('a self-signed root', 'a root for another org')],
  ['a layer dropped', here('the root dropped', 'the delegation dropped', 'the runtime dropped')],
  ['layers reordered', here('delegation before root', 'a delegation under the runtime')],
  ['a layer doubled', here('two roots', 'the delegation twice', 'two runtimes', 'two runs')],
  ["another tenant's delegation on a root", here('a delegation spliced onto another root')],
  ['a root used as a credential', here('a root used as a credential')],
  ["scope wider than the parent's", here('a scope that the parent lacks', 'a wildcard over the parent')],
  [
    "expiry wider than the parent's",
    here('a longer life than the parent', 'an earlier start than the parent'),
  ],
  ["audience wider than the parent's", here('an audience that the parent lacks')],
  ['bounds that another link lacks', here('bounds of a delegation', 'bounds of another path')],
  ['negative or overflowing budget', here('a budget of -1', 'a budget of 9007199254740991')],
  ['low-order key, when verified', here('small-order key 0', 'small-order key 7')],
  ['low-order key, when issued', there('authority/issue', 'refuses a key of small order')],
  ['low-order key, when trusted', there('proof/chain', 'refuses a weak key, and names it')],
  ['S >= L', here('S + L')],
  ['non-canonical R or A', here('key that is no canonical point 0', 'small-order R 1 with S = 0')],
  [
    'the profile itself, on three engines',
    there('crypto/ed25519-profile', 'is tried by a case that a lenient verifier'),
  ],
  ['right key under a wrong key id', here('a right key under a wrong key id')],
  ['an embedded key trusted', here('an embedded key')],
  ['alg: none', here('alg none', 'another alg')],
  ["one layer's signature shown as another's", here("one layer's signature shown as another's")],
  ['depth 1,000', here('a thousand ancestors', 'six ancestors', 'four delegations', 'a nesting bomb')],
  ['a retired key', here('a retired issuer key')],
  ['a single link alone', here('a single link alone')],
  ['unsigned fields that overrule signed ones', here('a wrapper field beside the signed ones')],
  ['absent audience, expiry or scope', here('no audience', 'no expires_at', 'no scope')],
];

const ENCODING: Named = [
  ['duplicate key', here('a duplicate key', 'a duplicate key by escape')],
  ['__proto__', here('__proto__', 'constructor')],
  ['BOM, bad UTF-8, lone surrogate', here('a BOM', 'bytes that are not UTF-8', 'a lone surrogate by escape')],
  ['non-canonical base64url', here('padding', 'standard base64', 'unused bits set')],
  ['2^53, floats, 1e3', here('2^53', 'a float', 'an exponent', 'minus zero')],
  ['unknown version', here('version 2', 'version 0 of the root')],
  ['NFC / NFD and look-alike ids', here('a decomposed look-alike id', 'a Cyrillic look-alike id')],
  ['arrays and null for strings', here('an array for a string', 'null for an array')],
  ['nesting bombs, 64 KiB', here('a nesting bomb', 'a credential of 64 KiB')],
  ['trailing bytes', here('trailing bytes', 'two objects')],
];

const TIME_AUDIENCE_REPLAY: Named = [
  ['expired', here('expired now')],
  ['from the future beyond 30 s', here('31 s ahead', 'issued 31 s ahead', 'a PoP 31 s ahead')],
  ['endless life', here('an endless life', 'a root that outlives 366 days')],
  ['milliseconds for seconds', here('milliseconds for seconds')],
  ['clock set back', there('pdp/reasons', "produces('clock_untrusted'")],
  ['audience in other case', here('the audience https://API.example.com')],
  ['audience with a trailing dot', here('the audience https://api.example.com.')],
  ['audience with a port, a suffix', here('an audience with a port', 'an audience with a suffix')],
  ['* and prefix confusion in scopes', here('the scope *', 'a scope that only shares a prefix')],
  ['one nonce twice', here('one PoP twice', 'one nonce in a new chain of the same key')],
  ['one nonce twice at once', here('one nonce eight times at once')],
  ['one nonce on two nodes at once', there('e2e/redis', 'each at both at once, each passes exactly once')],
  ['nonce after its cache entry went', there('pdp/replay', 'back: a PoP whose nonce was forgotten')],
  ['replay after a restart', there('pdp/replay', 'stays found after a restart')],
  ['replay after a Redis restart', there('e2e/redis', 'after a restart empty just so')],
  ['empty and huge nonces', here('an empty nonce', 'a nonce of 89')],
  ['a budget raced by parallel calls', here('fifteen at once against a budget of five')],
];

const POP_AND_HTTP: Named = [
  [
    'method override headers',
    here('X-HTTP-Method-Override', 'X-Original-URL', 'a method override behind 2,000 other headers'),
  ],
  ['.. and %2e', here('the path "/v1/documents/.."', 'the path "/v1/documents/%2e%2e"')],
  ['//', here('the path "/v1//documents/42"')],
  [
    '; \\ #',
    here(
      'the path "/v1/documents/42;a=b"',
      'the path "/v1/documents\\\\42"',
      'the path "/v1/documents/42#x"',
    ),
  ],
  ['%2f', here('the path "/v1/documents/a%2Fb"')],
  ['query reordered', here('a query reordered')],
  ['body swapped; truncated', here('a body swapped', 'a body truncated', 'a body that was not seen')],
  ['body compressed', here('a compressed body where the policy needs JSON')],
  ['the credential header twice', here('the credential twice')],
  ['comma-joined', here('the credential comma-joined')],
  ['with underscores', here('the credential with underscores')],
  ['client-sent identity headers', here('identity headers sent by the client')],
  ['… do not reach the upstream', there('e2e/envoy-lemma', 'does not reach the upstream')],
  [
    '… nor through the firewall',
    there('firewall/forward', 'has who acts, and nothing that the agent says of itself'),
  ],
  ['Host against :authority', here('host against the request', ':authority against the request')],
  ['both credential and bearer', here('a credential and a token')],
  ['upgrade and CONNECT', here('an upgrade', 'CONNECT')],
  ['the PoP key taken from the PoP itself', here('a key of the PoP itself')],
];

const KILL_REVOCATION_TAINT: Named = [
  ['killed while the request is under way', there('pdp/kill', 'turns an allow that was decided before')],
  [
    'nothing passes after the answer of a kill',
    there('pdp/kill', 'no request that is sent after its answer'),
  ],
  ['the next request after a kill', here('the next request after a kill')],
  ['revoked while the request is under way', there('pdp/kill', 'turns one whose link is revoked meanwhile')],
  ['revoked', here('a link that was revoked', "a holder's key that was revoked")],
  ['un-kill by an old message', there('gate/gate', 'never lets an old message bring a killed runtime back')],
  ['forged Redis message', there('feed/redis', 'a forged event does not verify')],
  [
    'lost message, frozen feed',
    there('e2e/nodes', 'deny high risk as stale with a control plane that stands still'),
  ],
  ['partition', there('e2e/nodes-parted', 'with a node cut off, nothing passes it after `enforced_by`')],
  ['restart with empty caches', there('pdp/reasons', "produces('state_not_ready'")],
  ['taint epoch missing', here('no taint epoch', 'a negative taint epoch')],
  ['taint epoch behind', here('a write with the epoch from before a tainting answer')],
  ['taint epoch ahead', here('a taint epoch ahead')],
  ['taint epoch rolled back', there('gate/gate', 'never lets a taint epoch fall')],
  [
    're-approval of one run used for another',
    there('server/verbs', 'approval at the epoch that was shown gives a short proof for the same key'),
    there('server/verbs', 'approval is void where the epoch moved'),
  ],
  [
    'a proof approved at another epoch',
    there('authority/issue', 'is refused when the approved epoch is not the current'),
  ],
  ['the agent approving itself', there('e2e/rest', 'has no verb to open on the decision listener')],
  ["operator's verbs without the key", there('server/control-api', 'before it reads anything')],
  ['ids of another runtime in headers', here('identity headers sent by the client')],
  [
    "another runtime's id in authorize",
    there('e2e/rest', 'decides for no other runtime than the one that the proof binds'),
  ],
];

const POLICY_AND_LOG: Named = [
  ['unsigned bundle', there('policy/registry', 'refuses an unsigned bundle')],
  ['stripped signature', there('policy/registry', 'refuses a stripped signature')],
  ['foreign-key bundle', there('policy/registry', 'refuses a foreign key')],
  ['older bundle', there('policy/registry', 'refuses an older serial')],
  ['expired bundle', there('policy/registry', 'refuses an expired signature')],
  ['… the current one stays', there('pdp/reasons', ': what ran before the reload goes on')],
  [
    'same revision with another hash',
    there('policy/registry', 'refuses a known revision with another content'),
  ],
  ['trap', there('policy/engine', 'turns a trap into policy_error')],
  ['undefined', there('policy/engine', 'refuses an undefined decision')],
  ['wrong shape', there('policy/engine', 'answers that are none')],
  ['loop', there('policy/engine', 'stops what takes too many steps')],
  ['memory', there('policy/engine', 'stops what takes too much memory')],
  ['… and the rest of the service goes on', there('policy/hostile', 'leave other policies as they are')],
  ['no policy loaded', there('pdp/reasons', "produces('policy_unavailable'")],
  ['record edited', there('decision-log/verify', 'names an edited record')],
  ['record dropped', there('decision-log/verify', 'names dropped records')],
  ['tail cut', there('decision-log/verify', 'names a cut tail')],
  [
    'CR, LF, ANSI in what a client sends',
    there('pdp/records', 'are one line each, which no terminal acts on'),
  ],
  ['ANSI on a terminal', there('cli/operator', 'are listed as plain lines in a pipe, and steer no terminal')],
  [
    'CSV formulas in ids',
    here('an upper-case id'),
    there('server/decision-export', 'defuse a cell that begins with'),
  ],
  ['explain shows a proof, token or body', there('pdp/explain', 'shows no secret')],
  ["explain shows another tenant's", there('pdp/explain', "shows nothing of another tenant's")],
];

const SERVICE: Named = [
  ["routes with another organisation's ids", there('server/control-api', "another organisation's runtime")],
  [
    'stored XSS',
    there('console/attacks', 'is text where a decision is explained'),
    there('console/attacks', 'is tried in each field that takes words'),
  ],
  [
    'CSRF',
    there('console/attacks', 'by forms is refused by each operation'),
    there('console/attacks', 'by fetch is refused, or never leaves'),
  ],
  [
    'session fixation',
    there('console/attacks', 'by a cookie that somebody made up'),
    there('console/attacks', "it never becomes the victim's"),
  ],
  ['framing', there('console/attacks', 'in no frame')],
  ['API keys by enumeration', there('authority/keys', 'are not known by')],
  ['proof files that others can read', there('cli/operator', 'lets nobody else read what it writes')],
  ['keys that others can read', there('authority/keys', 'are refused where others may read one')],
  ['symlinks', there('authority/keys', 'are refused as a symbolic link')],
  ['keys in argv', there('cli/operator', 'takes the operator key and the base from the environment')],
  ['SSRF by redirects', there('firewall/answer', "is a redirect, not the redirect's target")],
  ['SSRF by the path', there('request/firewall', 'finds a route only below the base path and a prefix')],
  ['SSRF by base_url', there('request/firewall', 'refuses base_url')],
  ['SSRF by a name: link-local, private, mapped IPv6', there('firewall/addresses', 'where a name is at')],
  [
    'SSRF by an address in other notations',
    there('firewall/addresses', 'where base_url names the address itself'),
  ],
  [
    'SSRF by a name that is rebound',
    there('firewall/addresses', 'is reached at the address that was checked'),
  ],
  ['SSRF by a forward proxy', there('firewall/proxy', 'is 502 where a listed name is at')],
  ['a tunnel to what is not listed', there('firewall/proxy', 'leads nowhere it may not')],
  [
    'a tunnel whose Host says another',
    there('firewall/proxy', 'is refused undecided where Host says another target'),
  ],
  ['a WebSocket or tunnel that outlives a kill', there('e2e/firewall', 'ends a WebSocket and a tunnel on')],
  [
    'a WebSocket of a foreign page',
    there('firewall/upgrade', 'is refused undecided of a page from elsewhere'),
  ],
  ['a redirect past the decision', there('firewall/redirect', 'ends where the second decision is a denial')],
  [
    'a tool whose description changed',
    there('firewall/mcp/pins', 'take the first description, and withhold another'),
  ],
  ['DNS rebinding against :8787', there('firewall/listen', ': refused before any decision')],
  ['foreign Origin against :8787', there('firewall/listen', 'not Origin ')],
  ['floods of verifications', there('e2e/overload', 'a kill is done at once')],
  [
    'floods of streams, rapid resets',
    there('server/grpc-flood', 'ends that connection with ENHANCE_YOUR_CALM'),
  ],
  ['floods of sign-ins', there('server/flood', 'is stopped after the burst')],
  [
    'lm_at_ tokens',
    here('a token that nobody issued', 'two tokens'),
    there('pdp/tokens', 'are no credential'),
  ],
];

const BAD_DAYS: Named = [
  ['kill -9 under load: records', there('store/crash', 'keeps every record, nonce and budget')],
  ['kill -9: nonces', there('pdp/replay', 'a nonce that was answered stays spent')],
  ['kill -9: budgets, kill', there('e2e/restart', 'has a budget that did not grow')],
  ['disk full: allows stop', there('pdp/durability', 'stops what has a PoP')],
  ['disk full: kill works and says so', there('pdp/kill', 'says that it is not durable')],
  ['Redis gone, back', there('e2e/redis', 'all else goes on, and it recovers by itself')],
  ['Redis restarted empty', there('e2e/redis', 'after a restart empty just so')],
  ['PostgreSQL gone, back', there('e2e/nodes-parted', 'with PostgreSQL gone')],
  ['PostgreSQL emptied', there('e2e/postgres', 'makes nothing anew in a database that was emptied under it')],
  ['PostgreSQL put back to an older state', there('e2e/postgres', 'revives nothing that was killed')],
  ['the database gone', there('pdp/reasons', "produces('replay_check_unavailable'")],
  ['clock jumps', there('pdp/replay', 'back: nor after a restart')],
  ['two nodes parted', there('e2e/nodes-parted', 'with a node cut off')],
  ['a torn last record', there('decision-log/verify', 'names a torn line')],
];

/** Each attack that the threat list names, in its order. */
export const NAMED: Readonly<Record<string, Named>> = {
  'Chain, keys': CHAIN_AND_KEYS,
  Encoding: ENCODING,
  'Time, audience, replay': TIME_AUDIENCE_REPLAY,
  'PoP and HTTP': POP_AND_HTTP,
  'Kill, revocation, taint': KILL_REVOCATION_TAINT,
  'Policy, log': POLICY_AND_LOG,
  Service: SERVICE,
  'Bad days': BAD_DAYS,
};

/** The list as Markdown. */
export function namedTable(): string {
  const sections = Object.entries(NAMED).map(([section, attacks]) =>
    [`## ${section}`, '', '| attack | tried |', '|---|---|', ...attacks.map(row), ''].join('\n'),
  );
  return sections.join('\n');
}

function row([attack, ...where]: Named[number]): string {
  return `| ${attack} | ${where.map(placeOf).join('; ').replaceAll('|', '\\|')} |`;
}

function placeOf(where: Where): string {
  switch (where.kind) {
    case 'case':
      return `over every transport: ${where.names.join(' · ')}`;
    case 'test':
      return `test/${where.file}: ${where.title}`;
    case 'later':
      return `**not yet**: with ${where.part}`;
  }
}
