import { randomOf } from '../support/random.ts';
import { readCorpus } from './corpus.ts';
import { mutated } from './mutate.ts';
import { TARGETS } from './targets.ts';

/** Changes of each input beside it, always the same ones; `npm run fuzz` goes on from there. */
const CHANGES = 20;

describe('the corpus of the fuzzer', () => {
  for (const target of TARGETS) {
    const corpus = readCorpus(target.name);

    it(`${target.name}: ${corpus.length} inputs break no invariant`, () => {
      for (const input of corpus) target.run(input);
    });

    it(`${target.name}: nor does a little change of one`, () => {
      const random = randomOf(1);
      for (const input of corpus) {
        for (let i = 0; i < CHANGES; i++)
          target.run(mutated(input, corpus, target.words, random, target.maxBytes));
      }
    });
  }
});
