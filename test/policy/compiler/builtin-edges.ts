/** Expression of `a`, `b`, `c`, and the JSON that each of them is in turn: all combinations are tried. */
type Edge = readonly [expression: string, ...pools: (readonly string[])[]];

const NUMBERS = [
  ...['0', '-0', '1', '-1', '1.0', '2', '3', '0.5', '-2.5', '7', '64', '2147483648', '9007199254740993'],
  ...['9223372036854775807', '-9223372036854775808', '18446744073709551616', '1e300', '1e400'],
];
const OTHERS = ['null', 'true', '""', '"1"', '"a"', '[]', '{}'];
const ANY_NUMBER = [...NUMBERS, 'null', '"1"', '[]'];
const DIVISORS = ['1', '-1', '2', '-4', '0.5', '1e300', 'null', '"1"', '{}'];
const ANY = [...NUMBERS, ...OTHERS, '[1]', '[1.0]', '[[1]]', '{"a": 1}', '{"a": {"b": []}}', '"ä"', '"NaN"'];
const TEXTS = [
  ...['', 'a', 'abc', 'abcabc', 'äöü', '😀x', 'e\u0301', 'a\0b', ' \t\u00a0x\u2003\n ', '\ufeffx'],
  ...['ABC', 'ÀÉİßΣς', 'Ǆǅ', 'a,b,,c', '/x//y/', '\u0085x\u0085', 'ﬀ', '<&>\u007f', 'a\nb'],
].map((text) => JSON.stringify(text));
const ANY_TEXT = [...TEXTS, 'null', '1', 'true', '[]', '{}'];
const PARTS = ['"a"', '"bc"', '"öü"', '"\u0308"', '" "', '","', '"/"', '"\\u0000"', '"aa"', 'null', '1'];
const EMPTY_TOO = ['""', ...PARTS];
const ARRAYS = [
  ...['[]', '[1]', '[1, 1, 2]', '["b", "a"]', '["", ""]', '[null]', '[[1], [2, [3]], []]', '[0.5, -1, 2]'],
  ...[
    '[3, "a", null, true, {}, [], 1.5, "A", false]',
    '[1, 1.0]',
    '[9223372036854775807, 1]',
    '["ä", "z", "😀"]',
  ],
];
const ANY_ARRAY = [...ARRAYS, 'null', '1', '"abc"', '{}', '{"a": 1, "b": 2}'];
const OBJECTS = [
  ...['{}', '{"a": 1}', '{"a": {"b": 1, "c": 2}, "d": 3}', '{"a": null}', '{"": 1}', '{"1": 1}', '{"ä": 1}'],
  ...['{"a/b": 1, "a~b": 2}', '{"a": [1, {"b": 2}, 3]}', '{"a": [{"b": 1, "c": 2}, 5], "d": 1}'],
];
const ANY_OBJECT = [...OBJECTS, 'null', '1', '"a"', '[]', '[1, 2]'];
const PATHS = [
  ...['["a/b"]', '["a"]', '[]', '["/a"]', '["a/"]', '[["a", "b"]]', '["a/0"]', '["a/1/b"]', '["a", "a/b"]'],
  ...['["a~1b"]', '["x"]', '"a"', 'null', '[1]', '[["a", 0]]', '["d", "a/0/c"]'],
];
const PATTERNS = [
  ...[
    '',
    'a',
    '^a+$',
    '(',
    'a{2,1}',
    'a{1001}',
    '[',
    '[[:alpha:]]',
    '\\d+',
    '\\p{L}+',
    '(?i)ABC',
    '(?P<n>a)',
  ],
  ...[
    '(?=a)',
    '\\1',
    'a**',
    '(?s).',
    '.',
    '\\b',
    '\\w+',
    '[^a]',
    '\\z',
    '\\Z',
    '$',
    '(?m)^b',
    'a|b',
    '(a*)*',
  ],
].map((pattern) => JSON.stringify(pattern));
const RANGES = [
  ...['"10.0.0.0/8"', '"10.1.2.3/32"', '"0.0.0.0/0"', '"192.168.0.0/16"', '"10.1.0.0/15"', '"2001:db8::/32"'],
  ...['"::/0"', '"fe80::/10"', '"10.0.0.0/33"', '"10.0.0/8"', '""'],
];
const ADDRESSES = [
  ...['"10.2.3.4"', '"11.0.0.1"', '"255.255.255.255"', '"2001:db8::1"', '"::1"', '"fe80::1"', '"10.0.0"'],
  ...['"host"', '""', 'null', '1', '"256.0.0.1"'],
];
const GLOBS = [
  '*',
  '**',
  '*.example.com',
  'api.*',
  '**.com',
  'a?i',
  'api',
  '',
  '{api,web}.*',
  '[a-c]pi',
  '/v1/*/x',
].map((pattern) => JSON.stringify(pattern));
const HOSTS = [
  'api.example.com',
  'a.b.example.com',
  'example.com',
  'api',
  '',
  '.',
  '/v1/7/x',
  '/v1/7/8/x',
  'äpi',
  'a:b',
].map((text) => JSON.stringify(text));
const SET_A = '{x | some x in a}';
const SET_B = '{x | some x in b}';
const KEYS = ['["a"]', '[]', '{"a": 1}', '["x"]', '[1]', '["1"]', '"a"', 'null'];
const INDEXES = ['-1', '0', '1', '3', '9', '1.5', '"1"', 'null'];

/**
 * Edges of the built-ins of policies/capabilities.json, beside the plain use in `BUILTIN_CASES`: empty, negative, huge,
 * of another script, of a wrong type, a set. What differs stands in `KNOWN_DIFFERENCES` and is kept out here.
 */
export const BUILTIN_EDGES: readonly Edge[] = [
  ...['abs(a)', 'round(a)'].map((each): Edge => [each, ANY_NUMBER]),
  ...['ceil(a)', 'floor(a)'].map((each): Edge => [each, ANY_NUMBER]),
  ...['a + b', 'a - b', 'a * b'].map((each): Edge => [each, ANY_NUMBER, ANY_NUMBER]),
  ...['a / b', 'a % b'].map(
    (each): Edge => [each, ['0', '-7', '7', '2.5', '1e300', 'null', '"1"'], DIVISORS],
  ),
  ...['a == b', 'a != b', 'a < b', 'a <= b', 'a > b', 'a >= b'].map((each): Edge => [each, ANY, ANY]),
  ['[x | x := a]', ANY],
  ['[x | x = a; x = b]', ANY, ['1', '[1]', 'null']],
  ...['&', '|', '-'].map((each): Edge => [`sort(${SET_A} ${each} ${SET_B})`, ANY_ARRAY, ANY_ARRAY]),
  ...['intersection', 'union'].map((each): Edge => [`sort(${each}({${SET_A}, ${SET_B}}))`, ARRAYS, ARRAYS]),
  ...['intersection', 'union'].map((each): Edge => [`${each}(${SET_A})`, ANY_ARRAY]),
  [`${SET_A} < ${SET_B}`, ARRAYS, ARRAYS],
  ['array.concat(a, b)', ANY_ARRAY, ANY_ARRAY],
  ...['array.flatten', 'array.reverse', 'count', 'max', 'min', 'sum', 'product', 'sort'].map(
    (each): Edge => [`${each}(a)`, ANY_ARRAY],
  ),
  ...['count', 'max', 'min', 'sum', 'product', 'sort'].map((each): Edge => [`${each}(${SET_A})`, ARRAYS]),
  ['array.slice(a, b, c)', ['[1, 2, 3, 4]', '[]', '"abcd"', '{}', 'null'], INDEXES, INDEXES],
  ...['count', 'lower', 'upper', 'strings.reverse', 'trim_space', 'base64.encode', 'base64url.encode'].map(
    (each): Edge => [`${each}(a)`, ANY_TEXT],
  ),
  ...['contains', 'startswith', 'endswith', 'split', 'trim', 'trim_left', 'trim_right'].map(
    (each): Edge => [`${each}(a, b)`, ANY_TEXT, EMPTY_TOO],
  ),
  ...['trim_prefix', 'trim_suffix'].map((each): Edge => [`${each}(a, b)`, ANY_TEXT, EMPTY_TOO]),
  ['indexof(a, b)', ANY_TEXT, PARTS],
  ['replace(a, b, c)', ANY_TEXT, PARTS, ['""', '"a"', '"bb"', 'null']],
  [
    'strings.replace_n(a, b)',
    ['{"a": "b", "b": "a"}', '{"a": "x", "aa": "y"}', '{"ä": "a"}', '{}', '{"a": 1}', 'null', '[]'],
    ['"ab"', '"aaa"', '"ä"', '""', 'null'],
  ],
  ['substring(a, b, c)', ['"abcde"', '"äöü"', '"😀x"', '""', 'null', '1'], INDEXES, INDEXES],
  ['concat(a, b)', ['""', '","', '"ä"', 'null', '1'], ANY_ARRAY],
  ['sort(graph.reachable(a, b))', ['{"x": ["y"], "y": []}', '{"x": ["x"]}', '{"x": null}', '{}', '[]'], KEYS],
  [
    'sort(graph.reachable(a, b))',
    ['{"x": ["y"], "y": ["z"]}', '{"x": ["gone"]}'],
    ['["x"]', '["gone"]', '"x"'],
  ],
  ['a in b', ANY, [...ANY_ARRAY, ...OBJECTS]],
  [`a in ${SET_B}`, ANY, ARRAYS],
  ['a, c in b', ['0', '1', '"a"', 'null', '-1'], [...ARRAYS, ...OBJECTS], ['1', '"a"', 'null']],
  ...['array', 'boolean', 'null', 'number', 'object', 'set', 'string'].map(
    (each): Edge => [`is_${each}(a)`, ANY],
  ),
  [`[is_set(${SET_A}), is_array(${SET_A}), type_name(${SET_A})]`, ARRAYS],
  ['type_name(a)', ANY],
  ...['json.filter', 'json.remove'].map((each): Edge => [`${each}(a, b)`, ANY_OBJECT, PATHS]),
  ['json.marshal(a)', ANY],
  ...['object.filter', 'object.remove'].map((each): Edge => [`${each}(a, b)`, ANY_OBJECT, KEYS]),
  ...['object.filter', 'object.remove'].map(
    (each): Edge => [`${each}(a, ${SET_B})`, OBJECTS, ['["a"]', '[]']],
  ),
  [
    'object.get(a, b, "default")',
    ANY_OBJECT,
    [...KEYS, '["a", "b"]', '["a", 0]', '["a", 1, "b"]', '["a", "1"]', '""', '[""]', '1'],
  ],
  ['sort(object.keys(a))', ANY_OBJECT],
  ['object.union(a, b)', ANY_OBJECT, ANY_OBJECT],
  ['net.cidr_contains(a, b)', [...RANGES, 'null'], [...RANGES, ...ADDRESSES]],
  ['net.cidr_intersects(a, b)', [...RANGES, 'null'], RANGES],
  ['glob.match(a, [], b)', GLOBS, HOSTS],
  ['glob.match(a, ["."], b)', GLOBS, HOSTS],
  ['glob.match(a, ["/"], b)', GLOBS, HOSTS],
  ['glob.match(a, null, b)', GLOBS, HOSTS],
  ['numbers.range(a, b)', ['0', '1', '-2', '1.5', '"1"', 'null'], ['0', '3', '-3', '2.5', 'null']],
  ['regex.is_valid(a)', [...PATTERNS, 'null', '1']],
  ['regex.match(a, b)', [...PATTERNS, 'null'], ANY_TEXT],
  ['regex.find_all_string_submatch_n(a, b, c)', PATTERNS, TEXTS, ['-1', '0', '1', 'null']],
  ['sort([[path, leaf] | walk(a, [path, leaf])])', [...ANY, ...OBJECTS]],
];
