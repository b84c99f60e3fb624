import { EventEmitter, once } from 'node:events';
import { type SourceWatch, watchSource } from '../../src/config/watch-source.ts';

describe('the watch of a source of policies', () => {
  let watch: SourceWatch | undefined;
  afterEach(() => watch?.close());

  it('asks a server again and again', async () => {
    const asked = new EventEmitter();
    const source = { source: 'https://policies.example.com/bundles', rego: null, every_ms: 1 };
    const first = once(asked, 'ask');
    watch = watchSource(source, async () => void asked.emit('ask'));
    await first;
    await once(asked, 'ask');
    await once(asked, 'ask');
  });
});
