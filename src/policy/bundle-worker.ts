import { type Bundle, bundleOf } from './bundle.ts';
import { answer, buffersOf } from './thread.ts';

answer<ReadonlyMap<string, Uint8Array>, Bundle>(bundleOf, ({ files }) => buffersOf(files.values()));
