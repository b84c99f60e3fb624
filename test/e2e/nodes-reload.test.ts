import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import {
  type Certificate,
  type CertificateAuthority,
  certificateAuthority,
  needOpenssl,
} from '../support/certificates.ts';
import { type NodeProcess, nodeProcess } from '../support/node-process.ts';
import { type Agent, authorityPin, SERVED_ROUTES, type Serving, serving } from '../support/serving.ts';
import { eventually } from '../support/waiting.ts';

describe('a decision node whose configuration is read again', function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'lemma-reload-'));
  const live = { cert: join(folder, 'live.pem'), key: join(folder, 'live.key') };
  const listen = { grpc: '127.0.0.1:0', decision: { address: '127.0.0.1:0', tls: live } };
  let authority: CertificateAuthority;
  let plane: Serving;
  let node: NodeProcess;
  let agent: Agent;

  const issue = (name: string) => authority.issue(name, { names: ['DNS:localhost', 'IP:127.0.0.1'] });
  function put({ cert, key }: Certificate): void {
    copyFileSync(cert, live.cert);
    copyFileSync(key, live.key);
  }
  async function shown(): Promise<string> {
    const port = Number(node.addresses.decision.split(':').at(-1));
    const socket = connect({ host: '127.0.0.1', port, ca: readFileSync(authority.cert) });
    await once(socket, 'secureConnect');
    const number = socket.getPeerX509Certificate()?.serialNumber ?? '';
    socket.destroy();
    return number;
  }
  const verdict = async () => (await node.ask(agent.reading())).verdict;
  /** Gives what it said when it had looked at the file. */
  async function said(change: () => void): Promise<readonly string[]> {
    const from = node.notes.length;
    change();
    await node.noted(/Configuration reloaded|NOT RELOADED/, from);
    return node.notes.slice(from);
  }

  before(async function () {
    needOpenssl(this);
    authority = certificateAuthority(folder);
    put(issue('first'));
    plane = await serving(folder);
    const wishes = { control: plane.controlBase, token: plane.operatorKey, pin: await authorityPin(plane) };
    node = await nodeProcess({ ...wishes, folder, name: 'edge', config: { listen } });
    agent = await plane.onboard('bot-1');
    await eventually(async () => (await verdict()) === 'allow');
  });
  after(async () => {
    await node?.end();
    await plane?.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  });

  it('goes on after a SIGHUP, and says so', async () => {
    assert.match((await said(() => node.signal('SIGHUP'))).join(), /Configuration reloaded/);
    assert.equal(await verdict(), 'allow');
  });

  it('decides by the routes that are there now', async () => {
    await said(() => node.configure({ routes: [] }));
    assert.equal(await verdict(), 'route_unknown');
    await said(() => node.configure({ routes: SERVED_ROUTES }));
    assert.equal(await verdict(), 'allow');
  });

  it('shows a renewed certificate to the next connection', async () => {
    const next = issue('second');
    await said(() => put(next));
    assert.equal(await shown(), new X509Certificate(readFileSync(next.cert)).serialNumber);
  });

  it('keeps what runs where the file says what cannot change, and names it', async () => {
    const lines = await said(() => node.configure({ node: 'another', routes: [] }));
    assert.match(lines.join('\n'), /: node: takes effect at a restart only/);
    assert.match(lines.join('\n'), /NOT RELOADED/);
    assert.equal(await verdict(), 'allow');
  });

  it('keeps what runs where the file is bad', async () => {
    assert.match((await said(() => node.configure({ routs: [] }))).join('\n'), /routs: unknown key/);
    assert.equal(await verdict(), 'allow');
  });
});
