import assert from 'node:assert/strict';
import type { Credential } from '../../src/client/index.ts';
import { toBase64url } from '../../src/crypto/base64url.ts';
import { startUpstream, type Upstream } from '../support/envoy-upstream.ts';
import { NOW } from '../support/kit.ts';
import { type Running, running } from '../support/running.ts';

/** A whole service with its firewall before an upstream that tells what it saw, on the machine's or a movable clock. */
export interface Scene {
  readonly service: Running;
  readonly upstream: Upstream;
  /** Origin of the firewall. */
  readonly gateway: string;
  /** Origin of the control plane. */
  readonly control: string;
  /** URL of a path through the firewall. */
  url(api: 'read' | 'write' | 'purge', path?: string): string;
  /** Registers a runtime and has a proof issued for a key. */
  onboard(runtimeId: string, publicKey: Uint8Array, terms?: object): Promise<Credential>;
  /** Seconds. */
  now(): number;
  forward(seconds: number): void;
  close(): Promise<void>;
}

export async function openScene(): Promise<Scene> {
  let now = NOW;
  const upstream = await startUpstream();
  const api = { base_url: upstream.origin, path_prefixes: ['/v1'] };
  const apis = [
    {
      ...api,
      id: 'read',
      action: 'documents.read',
      methods: ['GET', 'HEAD'],
      scope: ['documents.read'],
      risk: 'low',
    },
    {
      ...{ ...api, id: 'write', action: 'documents.write', methods: ['PUT', 'POST', 'PATCH', 'DELETE'] },
      ...{ scope: ['documents.write'], risk: 'high', body: 'digest' },
    },
    {
      ...{ ...api, id: 'purge', action: 'documents.admin', methods: ['POST'] },
      ...{ scope: ['documents.admin'], risk: 'critical', body: 'json' },
    },
  ];
  const service = await running({
    config: { firewall: { listen: '127.0.0.1:0', apis } },
    clock: () => now,
  });
  const gateway = `http://${service.app.addresses.firewall}`;
  return {
    service,
    upstream,
    gateway,
    control: `http://${service.app.addresses.control}`,
    url: (id, path = '/v1/documents/42') => `${gateway}/firewall/${id}${path}`,
    async onboard(runtime_id, publicKey, terms = {}) {
      const about = { runtime_id, agent_id: 'agent', workspace_id: 'prod' };
      const registered = await service.control('/api/wallet/runtimes/bootstrap', about);
      assert.equal(registered.status, 200, JSON.stringify(registered.body));
      const issued = await service.control('/api/wallet/runtimes/issue-proof', {
        ...{ runtime_id, key: toBase64url(publicKey), scope: ['documents.*'], audience: [upstream.origin] },
        ...terms,
      });
      assert.equal(issued.status, 200, JSON.stringify(issued.body));
      return issued.body.credential as Credential;
    },
    now: () => now,
    forward(seconds) {
      now += seconds;
    },
    async close() {
      await service.stop();
      await upstream.close();
    },
  };
}
