import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { member } from '../../../answer.ts';

/** A call that the model asks for. */
export interface ScriptedCall {
  readonly id: string;
  readonly name: string;
  readonly input: object;
}

/** What Claude Code says came of one: the call's id and the text that the model is given. */
export interface CallResult {
  readonly id: string;
  readonly text: string;
}

export interface ScriptedModel {
  /** For ANTHROPIC_BASE_URL. */
  readonly base: string;
  results(): readonly CallResult[];
  close(): Promise<void>;
}

/**
 * Stands for Anthropic's Messages API on this machine, for one session: to the first message that offers tools it answers with
 * the calls that `script` chooses of those names, and after their results with an end.
 */
export async function startScriptedModel(
  script: (offered: readonly string[]) => readonly ScriptedCall[],
): Promise<ScriptedModel> {
  const results: CallResult[] = [];
  const server = createServer((request, response) => {
    void answer(request, response).catch(() => response.destroy());
  });
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    if (request.method !== 'POST' || !/^\/v1\/messages(?:\?|$)/.test(request.url ?? '')) {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"input_tokens":1}');
      return;
    }
    const asked: unknown = JSON.parse(body);
    const known = listIn(member(asked, 'messages')).flatMap((message) =>
      resultsIn(member(message, 'content')),
    );
    for (const one of known) if (!results.some(({ id }) => id === one.id)) results.push(one);
    const offered = listIn(member(asked, 'tools')).map((tool) => String(member(tool, 'name')));
    const calls = known.length > 0 || offered.length === 0 ? [] : script(offered);
    const content =
      calls.length === 0
        ? [{ type: 'text', text: 'done' }]
        : calls.map(({ id, name, input }) => ({ type: 'tool_use', id, name, input }));
    send(response, {
      content,
      model: String(member(asked, 'model')),
      stream: member(asked, 'stream') === true,
    });
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    results: () => results,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function listIn(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function resultsIn(content: unknown): CallResult[] {
  return listIn(content)
    .filter((block) => member(block, 'type') === 'tool_result')
    .map((block) => {
      const said = member(block, 'content');
      const text = typeof said === 'string' ? said : JSON.stringify(said);
      return { id: String(member(block, 'tool_use_id')), text };
    });
}

type Block = { readonly type: string; readonly text?: string; readonly input?: object };

interface Message {
  readonly content: readonly Block[];
  readonly model: string;
  readonly stream: boolean;
}

/** As the API answers: whole, or as its server-sent events. */
function send(response: ServerResponse, { content, model, stream }: Message): void {
  const stop_reason = content.some(({ type }) => type === 'tool_use') ? 'tool_use' : 'end_turn';
  const usage = { input_tokens: 1, output_tokens: 1 };
  const message = { id: 'msg_lemma', type: 'message', role: 'assistant', model, stop_sequence: null, usage };
  if (!stream) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...message, content, stop_reason }));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const event = (type: string, data: object) =>
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  event('message_start', { message: { ...message, content: [], stop_reason: null } });
  for (const [index, block] of content.entries()) {
    const isText = block.type === 'text';
    event('content_block_start', {
      index,
      content_block: isText ? { ...block, text: '' } : { ...block, input: {} },
    });
    event('content_block_delta', {
      index,
      delta: isText
        ? { type: 'text_delta', text: block.text }
        : { type: 'input_json_delta', partial_json: JSON.stringify(block.input) },
    });
    event('content_block_stop', { index });
  }
  event('message_delta', { delta: { stop_reason, stop_sequence: null }, usage });
  event('message_stop', {});
  response.end();
}
