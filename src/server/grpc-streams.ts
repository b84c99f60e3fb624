import type { ServerHttp2Session } from 'node:http2';

/*
 * Node (26.10) keeps a session's streams in a Map, and V8 makes a new table for it whenever as many have come and gone as it
 * has room for: every dozen calls. The old table lies in V8's old space, since the session does, with the streams that were
 * open then; until the next major collection it counts as alive, and so every one of them, with all that hangs on it, is moved
 * there too: four fifths of what a decision left behind. Here they are kept in places that are used again.
 */

/** Of a Map, what Node asks of a session's streams. */
export interface StreamTable<T> {
  readonly size: number;
  get(id: number): T | undefined;
  set(id: number, stream: T): unknown;
  delete(id: number): boolean;
  forEach(visit: (stream: T, id: number) => void): void;
}

/** Of a Set, what it asks of those that have no id yet; a server has one at a time. */
export interface StreamSet<T> {
  readonly size: number;
  add(stream: T): unknown;
  delete(stream: T): boolean;
  forEach(visit: (stream: T) => void): void;
}

/** Takes the place of a session's own before its first stream. False where this Node keeps them in another way. */
export function keepStreamsInPlace(session: ServerHttp2Session): boolean {
  const state = stateOf(session);
  if (state === null) return false;
  state.streams = createStreamTable();
  state.pendingStreams = createStreamSet();
  return true;
}

interface SessionState {
  streams: StreamTable<unknown>;
  pendingStreams: StreamSet<unknown>;
}

function stateOf(session: ServerHttp2Session): SessionState | null {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state');
  const state: unknown = key === undefined ? null : Reflect.get(session, key);
  if (typeof state !== 'object' || state === null) return null;
  const { streams, pendingStreams } = state as Partial<SessionState>;
  // Node's own copies of Map and Set are no instances of either.
  return isEmptyOne(streams, ['get', 'set', 'delete', 'forEach']) &&
    isEmptyOne(pendingStreams, ['add', 'delete', 'forEach'])
    ? (state as SessionState)
    : null;
}

function isEmptyOne(value: unknown, methods: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null || Reflect.get(value, 'size') !== 0) return false;
  return methods.every((name) => typeof Reflect.get(value, name) === 'function');
}

const FIRST_PLACES = 64;
const PLACES_AT_MOST = 2048;
/** No stream has it. */
const NOBODY = -1;

/** By the last bits of their ids, which are odd and rise; a stream that finds an older one in its place is kept beside. */
export function createStreamTable<T>(): StreamTable<T> {
  let ids = new Int32Array(FIRST_PLACES).fill(NOBODY);
  let places = emptyPlaces<T>(FIRST_PLACES);
  let placed = 0;
  const beside = new Map<number, T>();

  function placeOf(id: number): number {
    return (id >>> 1) & (places.length - 1);
  }

  function put(id: number, stream: T): void {
    const at = placeOf(id);
    if (ids[at] !== NOBODY && ids[at] !== id) {
      beside.set(id, stream);
      return;
    }
    if (ids[at] === NOBODY) placed += 1;
    ids[at] = id;
    places[at] = stream;
  }

  function grow(): void {
    const before = entries();
    const length = places.length * 2;
    ids = new Int32Array(length).fill(NOBODY);
    places = emptyPlaces(length);
    placed = 0;
    beside.clear();
    for (const [id, stream] of before) put(id, stream);
  }

  function entries(): [number, T][] {
    const found: [number, T][] = [...beside];
    for (const [at, stream] of places.entries())
      if (stream !== undefined) found.push([ids[at] ?? NOBODY, stream]);
    return found;
  }

  return {
    get size() {
      return placed + beside.size;
    },
    get(id) {
      const at = placeOf(id);
      return ids[at] === id ? places[at] : beside.get(id);
    },
    set(id, stream) {
      if (placed * 2 >= places.length && places.length < PLACES_AT_MOST) grow();
      if (beside.has(id)) beside.set(id, stream);
      else put(id, stream);
    },
    delete(id) {
      const at = placeOf(id);
      if (ids[at] !== id) return beside.delete(id);
      ids[at] = NOBODY;
      places[at] = undefined;
      placed -= 1;
      return true;
    },
    forEach(visit) {
      for (const [id, stream] of entries()) visit(stream, id);
    },
  };
}

function emptyPlaces<T>(length: number): (T | undefined)[] {
  return new Array<T | undefined>(length).fill(undefined);
}

function createStreamSet<T>(): StreamSet<T> {
  const streams: T[] = [];
  return {
    get size() {
      return streams.length;
    },
    add(stream) {
      if (!streams.includes(stream)) streams.push(stream);
    },
    delete(stream) {
      const at = streams.indexOf(stream);
      if (at < 0) return false;
      streams.splice(at, 1);
      return true;
    },
    forEach(visit) {
      for (const stream of [...streams]) visit(stream);
    },
  };
}
