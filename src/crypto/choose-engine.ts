import type { Ed25519Engine } from './ed25519-engine.ts';

/**
 * Takes the first engine that loads and keeps to the profile; `last` when none does. Every engine passed over is
 * reported, with why.
 */
export function chooseEngine(
  loaders: readonly (() => Ed25519Engine)[],
  last: Ed25519Engine,
  report: (problem: string) => void,
): Ed25519Engine {
  for (const load of loaders) {
    try {
      const engine = load();
      const broken = brokenRule(engine);
      if (broken === null) return engine;
      report(`Ed25519: ${engine.name} does not keep to the profile (${broken}); a slower engine is used`);
    } catch (error) {
      report(`Ed25519: an engine does not load; a slower one is used: ${String(error)}`);
    }
  }
  return last;
}

interface Probe {
  readonly rule: string;
  readonly message: string;
  readonly key: string;
  readonly signature: string;
  readonly holds: boolean;
}

const KEY = '453f0027f5753ebdeeb653b223f4c7b726ca9486c7538e4ac1d14635418aac8f';
const R = 'bda48754687881b638ee230b3c8ab9f9071b827ef32539dd07dc88c55bbf7a33';

/** One signature for each rule on which builds of the same library have differed. */
const PROBES: readonly Probe[] = [
  {
    rule: 'a plain signature holds',
    message: 'lemma',
    key: KEY,
    signature: `${R}efc3140ba60f364135486c6061b9a1472f1f5343fa27aca32b2b29b91a05b408`,
    holds: true,
  },
  {
    rule: 'S is below the order',
    message: 'lemma',
    key: KEY,
    signature: `${R}dc970a68c07248990be5630340b3805c2f1f5343fa27aca32b2b29b91a05b418`,
    holds: false,
  },
  {
    rule: 'no cofactor: R of mixed order',
    message: 'lemma',
    key: KEY,
    signature:
      '08edffb0e489342d7adc4119a41bfb5371a556d743653b0e3589c9938d7da6b5a3ec1d5bd48443ec6b6651b0846bb99a66bb051fb67c6c73bbcdad4302b9120b',
    holds: false,
  },
  {
    rule: 'a key of mixed order is a key',
    message: 'lemma 3',
    key: '811449e224a37132aeb5bb638c1722c1c9b216989d2eb0265eb45e1b8ab53224',
    signature: `${R}617c76eb9e365d27d96cb2d9579f58fbbf0b0833362e5a36de4c0bd7ca8c4e0d`,
    holds: true,
  },
  {
    rule: 'no key of small order',
    message: 'lemma 1',
    key: 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    signature: `${R}036157ea52150399ef602d3248d057458ee16c3da51066c1f378bcdcde3cd40a`,
    holds: false,
  },
];

function brokenRule(engine: Ed25519Engine): string | null {
  const broken = PROBES.find((probe) => {
    const message = new TextEncoder().encode(probe.message);
    return engine.verify(fromHex(probe.signature), message, fromHex(probe.key)) !== probe.holds;
  });
  return broken?.rule ?? null;
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}
