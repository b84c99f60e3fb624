/** Digests of the bundles of this package (`bundleDigest`). Written by tools/bundles/build.ts. */
export const EMBEDDED_PINS = {
  low: 'd267553160991eab500b0678b266ece50231b1f02bb4580543810444b3ec1371',
  high: 'bedf8edf18b4d194250dc4f120e9e8081ed116fa06af346c5d4ec3474db79d6f',
  critical: '76cbd927b71ba3a27a1a3cb692a4507945b8424109cd60d9a2337eab97967663',
} as const;
