/** Digests of the bundles of this package (`bundleDigest`). Written by tools/bundles/build.ts. */
export const EMBEDDED_PINS = {
  low: 'd267553160991eab500b0678b266ece50231b1f02bb4580543810444b3ec1371',
  high: '877150bcff8cf7b70813d9770544e893d21feadbbff3f76a9720dba71fe48285',
  critical: '76cbd927b71ba3a27a1a3cb692a4507945b8424109cd60d9a2337eab97967663',
} as const;
