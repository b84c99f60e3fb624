/** The plugin as it is installed, by file name. It has no dependency, and reads neither files nor the environment. */

export const PLUGIN_ID = 'lemma-firewall';

const MANIFEST = {
  id: PLUGIN_ID,
  name: 'Lemma firewall',
  description: 'Asks the Lemma firewall on this machine before each call of a tool',
  version: '1.0.0',
  activation: { onStartup: true },
  configSchema: {
    type: 'object',
    additionalProperties: false,
    required: ['firewall', 'agent'],
    properties: {
      firewall: { type: 'string', description: 'http://127.0.0.1:8787' },
      agent: { type: 'string', description: 'As firewall.agents names it' },
      timeoutMs: { type: 'integer', minimum: 100, maximum: 60_000 },
      credential: {
        type: 'string',
        description: 'X-Lemma-Credential; default: the one that the firewall has',
      },
    },
  },
};

const PACKAGE = {
  name: PLUGIN_ID,
  version: MANIFEST.version,
  private: true,
  type: 'module',
  openclaw: { extensions: ['./index.js'] },
};

const CODE = `// Written by \`lemma setup-openclaw\`; \`lemma setup-openclaw --undo\` takes it away.
import { request } from 'node:http';

const LARGEST_ANSWER = 65536;

/** The latest leave, for who checks this plugin. */
export const latest = { decision: null };

/** Resolves with {status, text}; rejects where the firewall does not answer in time. */
function ask(url, headers, body, timeoutMs) {
  return new Promise((resolve, reject) => {
    // An agent of its own: a proxy that is set up for others has no say here.
    const outgoing = request(url, { method: 'POST', headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
        if (text.length > LARGEST_ANSWER) outgoing.destroy(new Error('its answer is too long'));
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
      response.on('error', reject);
    });
    const timer = setTimeout(() => outgoing.destroy(new Error('no answer in time')), timeoutMs);
    outgoing.on('close', () => clearTimeout(timer));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Nothing for leave, else {block, blockReason}. Never throws: what goes wrong blocks. */
async function decide(config, event) {
  const tool = String(event?.toolName ?? '');
  const block = (why) => ({ block: true, blockReason: \`Lemma: \${tool} \${why}\` });
  try {
    const { firewall, agent, timeoutMs = 10000, credential } = config ?? {};
    const body = JSON.stringify(event.params ?? {});
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    if (credential !== undefined) headers['x-lemma-credential'] = credential;
    const url = \`\${firewall}/tool/\${agent}/\${encodeURIComponent(tool)}\`;
    const { status, text } = await ask(url, headers, body, timeoutMs);
    const answer = JSON.parse(text);
    const decision = \`decision \${answer.decision_id ?? 'none'}\`;
    if (status !== 200 || answer.verdict !== 'allow')
      return block(\`was denied: \${answer.error ?? status} (\${decision})\`);
    latest.decision = answer.decision_id;
    return undefined;
  } catch (error) {
    return block(\`was blocked: the Lemma firewall did not answer (\${error?.message ?? error}); lemma start\`);
  }
}

export default {
  id: '${PLUGIN_ID}',
  name: '${MANIFEST.name}',
  description: '${MANIFEST.description}',
  register(api) {
    const config = api.pluginConfig;
    const handler = (event) => decide(config, event);
    // OpenClaw's own timeout blocks too; ours comes first, and says why.
    api.on('before_tool_call', handler, { priority: 1000000, timeoutMs: (config?.timeoutMs ?? 10000) + 5000 });
  },
};
`;

export const PLUGIN_FILES: Readonly<Record<string, string>> = {
  'openclaw.plugin.json': `${JSON.stringify(MANIFEST, null, 2)}\n`,
  'package.json': `${JSON.stringify(PACKAGE, null, 2)}\n`,
  'index.js': CODE,
};
