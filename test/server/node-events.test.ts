import assert from 'node:assert/strict';
import { listen } from '../../src/server/http.ts';
import { AUTH, controlWorld } from './support.ts';

describe("a node's stream of events", () => {
  it('ends by itself: whoever comes again shows a key that still counts', async () => {
    const control = await controlWorld({ nodeStreamMs: 20 });
    const server = await listen(control.app, '127.0.0.1:0', 'listen.control');
    const base = `http://${server.address}/api/wallet/nodes`;
    try {
      const { snapshot } = (await (await fetch(`${base}/snapshot?node=n1`, { headers: AUTH })).json()) as {
        snapshot: { epoch: number; seq: number };
      };
      const query = `epoch=${snapshot.epoch}&after=${snapshot.seq}`;
      const response = await fetch(`${base}/events?${query}`, { headers: AUTH });
      assert.equal(response.status, 200);
      await response.text().catch(() => '');
    } finally {
      await server.close();
      await control.world.close();
    }
  });
});
