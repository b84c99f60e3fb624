import { ok } from 'node:assert/strict';
import { checkConfig, checkRoutesFile } from '../../../src/config/check.ts';
import { effective } from '../../../src/config/effective.ts';
import { readYaml } from '../../../src/config/yaml-source.ts';
import { toBase64url } from '../../../src/crypto/base64url.ts';
import { settingsOf } from '../../../src/pdp/settings.ts';
import { InputError } from '../../../src/reason.ts';
import { apiRoutes } from '../../../src/request/firewall.ts';
import { keyNamed } from '../../support/kit.ts';
import { refusing, type Target, textOf } from '../target.ts';

const own = { x: toBase64url(keyNamed('own').public) };

/** A file from its YAML to the settings that decisions are made with. */
export const config: Target = {
  name: 'config',
  maxBytes: 1_500,
  words: [
    'listen:',
    'grpc:',
    'trust:',
    'routes:',
    '- id: a',
    'path: /v1/{id}',
    'host: "*"',
    'methods: [GET]',
    'scope: [a.b]',
    'audience: https://a.example',
    'risk: low',
    'firewall:',
    'apis:',
    'base_url: http://127.0.0.1:1',
    '&a',
    '*a',
    '!!str',
    '---',
    '? ',
    '|',
    '>',
    '<<:',
    '\t',
    '  ',
    '\n',
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    ': ',
    '- ',
    '#',
    '%YAML 1.2',
    '1e3',
    '0x1',
    '.nan',
    '~',
    '__proto__:',
  ],
  run(input) {
    const text = textOf(input);
    if (text === null) return;
    const source = readYaml('lemma.yaml', text);
    for (const { line, column } of source.problems) ok((line ?? 0) >= 1 && (column ?? 0) >= 1);
    const routes = checkRoutesFile(source.value);
    if (!routes.ok) for (const { field } of routes.problems.slice(0, 20)) source.locate(field);
    const checked = checkConfig(source.value);
    if (!checked.ok) {
      ok(checked.problems.length > 0);
      for (const { field } of checked.problems.slice(0, 20)) source.locate(field);
      return;
    }
    if (source.problems.length > 0) return;
    const listed = Array.isArray(checked.value.routes) ? checked.value.routes : [];
    const file = effective(checked.value, {
      folderOf: () => '/nowhere',
      routes: { routes: listed, permit_method_override: [] },
    });
    refusing(() => settingsOf(file, 'r', [own], apiRoutes(file.firewall?.apis ?? [], file)), InputError);
  },
};
