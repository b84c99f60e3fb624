import { setImmediate as turn } from 'node:timers/promises';

/** How an instance is made. Both throw where there is no memory for one. */
export interface Maker<T> {
  now(): T;
  /** Without stopping the event loop. */
  soon(): Promise<T>;
}

/**
 * The instances of one policy: the one that evaluates, and a spare that follows it when it fails, made in between
 * requests. Evaluation is synchronous: more than one idle instance could never be of use.
 */
export class Instances<T extends { readonly reusable: boolean }> {
  readonly #make: Maker<T>;
  readonly #wanted: number;
  /** The spare first. */
  readonly #ready: T[];
  #preparing = false;

  /** Its spare is made in later turns, as large data take milliseconds each. */
  constructor(first: T, make: Maker<T>, keepSpare: boolean) {
    this.#make = make;
    this.#wanted = keepSpare ? 2 : 1;
    this.#ready = [first];
    void this.#prepare();
  }

  /** For one evaluation, after which it is given back, whatever its end. Throws what `now` throws. */
  take(): T {
    return this.#ready.pop() ?? this.#make.now();
  }

  giveBack(instance: T): void {
    if (instance.reusable) this.#ready.push(instance);
    else void this.#prepare();
  }

  /** Never rejects: without memory there is no spare, and `take` tries again. */
  async #prepare(): Promise<void> {
    if (this.#preparing) return;
    this.#preparing = true;
    await turn();
    try {
      while (this.#ready.length < this.#wanted) {
        this.#ready.unshift(await this.#make.soon());
        await turn();
      }
    } catch {
      // Said where it matters, by `take`.
    } finally {
      this.#preparing = false;
    }
  }
}
