/** A registered runtime with its live state, and what was taken back: as the store keeps them. */
export type { Revocation, Runtime as LiveRuntime, RuntimeStatus } from '../store/model.ts';
