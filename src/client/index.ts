/** What an agent imports, in Node and in a browser: `lemma-authz/client`. */
export { headerValue } from './attach.ts';
export type { Bounds, Credential, LemmaName, Link } from './credential.ts';
export { readCredential } from './credential.ts';
export { denialOf } from './denial.ts';
export { type ClientErrorCode, type DenialFacts, LemmaClientError, LemmaDenied } from './errors.ts';
export { createLemmaFetch, type LemmaFetch, type LemmaFetchOptions } from './fetch.ts';
export type { LemmaEvent, Schedule } from './holder.ts';
export { generateKey, keyFromSeed, keyOf, type LemmaKey } from './key.ts';
export { type Narrowed, narrowToRun, type RunOptions } from './run.ts';
