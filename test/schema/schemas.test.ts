import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { Ajv } from 'ajv';

const FOLDER = new URL('../../src/schema/', import.meta.url);

/** Every `…Schema` that the room exports, by name. */
async function schemas(): Promise<[name: string, schema: object][]> {
  const modules = await Promise.all(
    readdirSync(FOLDER).map((file) => import(new URL(file, FOLDER).href) as Promise<Record<string, unknown>>),
  );
  return modules
    .flatMap((module) => Object.entries(module))
    .filter(
      (entry): entry is [string, object] => entry[0].endsWith('Schema') && typeof entry[1] === 'object',
    );
}

describe('the schemas', () => {
  it('are JSON Schema of draft 7, which nothing checks when the service starts', async () => {
    const ajv = new Ajv();
    const found = await schemas();
    const bad = found.filter(([, schema]) => ajv.validateSchema(schema) !== true).map(([name]) => name);
    assert.deepEqual(bad, []);
    assert.ok(found.length > 30, `${found.length} schemas`);
  });
});
