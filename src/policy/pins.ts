/** Digests of the bundles of this package (`bundleDigest`). Written by tools/bundles/build.ts. */
export const EMBEDDED_PINS = {
  low: '53845a17aa7390d863595f1ded63ed7be40d89bfc016c82d2dd852840b1d687c',
  high: '0dc922e850dbc139bf372c7f9393271c0dc4a546ef46b25265919c0fe3299f6a',
  critical: '74f2f59d2c470c4225d269fa2332da14c339d44b9c15531a75561631e4c81782',
} as const;
