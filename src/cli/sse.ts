/** One server-sent event (WHATWG HTML, 9.2.6). `data` null: it only says an id. */
export interface ServerEvent {
  readonly id: string | null;
  readonly event: string;
  readonly data: string | null;
}

/** Longer than any record, 64 MiB: what sends no line feed for so long is no event stream. */
const LONGEST = 64 * 1024 * 1024;

/** Events of lines that end in LF, as our service writes them. An event that was cut off is none. */
export async function* serverEvents(
  lines: AsyncIterable<string>,
): AsyncGenerator<ServerEvent, void, undefined> {
  let id: string | null = null;
  let event = 'message';
  let data: string[] = [];
  let length = 0;
  for await (const line of lines) {
    if (line === '') {
      yield { id, event, data: data.length === 0 ? null : data.join('\n') };
      [id, event, data, length] = [null, 'message', [], 0];
      continue;
    }
    const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    length += value.length;
    if (length > LONGEST) throw new RangeError('an event is too long');
    if (field === 'id') id = value;
    else if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
  }
}
