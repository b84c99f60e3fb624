import { setImmediate as turn } from 'node:timers/promises';

/**
 * The instances of one policy: the one that evaluates, and a spare that follows it when it fails, made in between
 * requests. Evaluation is synchronous: more than one idle instance could never be of use.
 */
export class Instances<T extends { readonly reusable: boolean }> {
  readonly #make: () => T;
  readonly #wanted: number;
  /** The spare first. */
  readonly #ready: T[];

  /** Makes the first one; its spare in a later turn, as large data take milliseconds each. Throws what `make` throws. */
  constructor(make: () => T, keepSpare: boolean) {
    this.#make = make;
    this.#wanted = keepSpare ? 2 : 1;
    this.#ready = [make()];
    void this.#prepare();
  }

  /** For one evaluation, after which it is given back, whatever its end. Throws what `make` throws. */
  take(): T {
    return this.#ready.pop() ?? this.#make();
  }

  giveBack(instance: T): void {
    if (instance.reusable) this.#ready.push(instance);
    else void this.#prepare();
  }

  /** Never rejects: without memory there is no spare, and `take` tries again. */
  async #prepare(): Promise<void> {
    await turn();
    if (this.#ready.length >= this.#wanted) return;
    try {
      this.#ready.unshift(this.#make());
    } catch {
      // Said where it matters, by `take`.
    }
  }
}
