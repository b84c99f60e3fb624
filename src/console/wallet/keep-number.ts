import { numbersWith, setNumbers } from './key-number.ts';
import { readNumbers, writeNumbers } from './vault.ts';

/** Before anything is shown. Where the store cannot be read, the first keys are used, and a sign-in looks for the others. */
export async function loadNumbers(): Promise<void> {
  setNumbers(await readNumbers().catch(() => ({})));
}

export async function keepNumber(host: string, n: number): Promise<void> {
  const next = numbersWith(host, n);
  setNumbers(next);
  await writeNumbers(next);
}
