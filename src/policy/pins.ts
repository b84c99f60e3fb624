/** Digests of the bundles of this package (`bundleDigest`). Written by tools/bundles/build.ts. */
export const EMBEDDED_PINS = {
  low: 'c0dba3dc8d291f7a0759c51c360028ecb125874e0bd7272974cca52e591f6d5d',
  high: '82a952b016db2c15cfe7d628ccfd301a74d610e7ae871c5d1fbf714b4f7ca0a0',
  critical: 'a54ccfa7743b187f943edf0cc9ff23f3737028c11bc525821183cb31390c53ae',
} as const;
