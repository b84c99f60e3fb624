export const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** Resolves when the program is asked to end. From then on the next signal ends it at once. */
export function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const signal of SIGNALS) process.off(signal, done);
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, done);
  });
}
