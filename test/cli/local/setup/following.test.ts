import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { LAPTOP_PERMISSIONS } from '../../../../src/cli/local/sign-in.ts';
import { type Serving, servedConfig, serving } from '../../../support/serving.ts';
import { emptyFolder } from '../../lemma.ts';
import { apiAt, type Laptop, laptop } from '../laptop.ts';

const NOTES = 'http://127.0.0.1:9';

describe('a setup command where the local firewall follows a control plane', function () {
  this.timeout(180_000);
  let plane: ReturnType<typeof emptyFolder>;
  let service: Serving;
  let computer: Laptop;

  const routes = [
    {
      ...{ id: 'notes', host: '127.0.0.1', path: '/**', methods: ['GET'], api: 'notes', action: 'notes.use' },
      ...{ scope: ['notes.use'], audience: NOTES, risk: 'low' },
    },
  ];

  before(async () => {
    plane = emptyFolder();
    writeFileSync(join(plane.path, 'lemma.yaml'), stringify({ ...servedConfig(), routes }));
    service = await serving(plane.path);
    computer = laptop();
    computer.configure({ firewall: { apis: [apiAt(NOTES)] } });
    const permissions = [...LAPTOP_PERMISSIONS];
    const { body } = await service.control('/api/wallet/api-keys', { name: 'laptop', permissions });
    const env = { LEMMA_API_KEY: String(body.token ?? body.api_key) };
    await computer.json(['login', '--api-base', service.controlBase], env);
    mkdirSync(join(computer.folder, 'home', '.openclaw'));
    await computer.start();
  });
  after(async () => {
    await computer.close();
    await service.end('SIGTERM');
    plane.remove();
  });

  const setup = () => computer.json(['setup-openclaw', '--yes']);

  it('says which route the control plane lacks, and works once it has that', async () => {
    const refused = await setup();
    equal(refused.error_code, 'routes_missing', JSON.stringify(refused.data));
    match(refused.data.message, /issues no proof for http:\/\/openclaw\.tool\.localhost/);

    const more = refused.data.routes.map((text: string) => parse(text));
    const whole = { ...servedConfig(), routes: [...routes, ...more] };
    writeFileSync(join(plane.path, 'lemma.yaml'), stringify(whole));
    // It takes a changed file over by itself.
    let done = await setup();
    for (const until = Date.now() + 20_000; done.error_code === 'routes_missing' && Date.now() < until; )
      done = await setup();
    deepEqual(
      [done.error_code, done.data.kill_to_deny?.after.reason, done.data.classes?.length],
      ['degraded', 'runtime_killed', 12],
    );
  });

  it('kills the throw-away runtime of the last time again', async () => {
    const { data } = await setup();
    deepEqual(
      [data.kill_to_deny?.before.verdict, data.kill_to_deny?.after.reason],
      ['allow', 'runtime_killed'],
    );
  });
});
