/** Which of its keys for a site the wallet uses: the n of proofs.md, by host. No secret; what the browser keeps of it: keep-number.ts. */

let numbers: Readonly<Record<string, number>> = {};

export function numberAt(host: string): number {
  return Object.hasOwn(numbers, host) ? (numbers[host] ?? 0) : 0;
}

export function setNumbers(known: Readonly<Record<string, number>>): void {
  numbers = known;
}

export function numbersWith(host: string, n: number): Readonly<Record<string, number>> {
  return { ...numbers, [host]: n };
}
