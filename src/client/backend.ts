/** What any backend imports beside its framework's binding. */
export type { LemmaActor, LemmaFacts, Outcome } from './guard.ts';
export type { LocalOptions, PdpOptions, PdpPlace, ProtectOptions, TrustOptions } from './options.ts';
export type { ErrorAnswer } from './protect.ts';
export {
  configureTrust,
  type Verification,
  type VerifyOptions,
  verifyCredentialWithTrust,
} from './verify.ts';
