import { useEffect, useState } from 'preact/hooks';

/** The root secret while the wallet is unlocked: in this page's memory, and nowhere else. */

const IDLE_MS = 15 * 60_000;
const SIGNS_OF_LIFE = ['pointerdown', 'keydown', 'wheel'] as const;

let held: Uint8Array | null = null;
/** By the wall clock: a machine that sleeps stops timers, and whoever wakes it may be somebody else. */
let seenAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();
/** Other tabs of this origin: who locks one means them all. */
const tabs = new BroadcastChannel('lemma-wallet');

/** Takes the bytes over: they are zeroed when the wallet is locked. */
export function hold(rootSecret: Uint8Array): void {
  if (held !== rootSecret) held?.fill(0);
  held = rootSecret;
  seenAt = Date.now();
  stay();
  tell();
}

/** Locks it, here and in other tabs. */
export function lock(): void {
  tabs.postMessage('lock');
  drop();
}

/** Null: locked. */
export function useHeld(): Uint8Array | null {
  const [root, setRoot] = useState(held);
  useEffect(() => {
    const update = () => setRoot(held);
    listeners.add(update);
    return () => void listeners.delete(update);
  }, []);
  return root;
}

/** Locks by itself: after 15 minutes without a key or a touch, and when the page is left or put aside. */
export function watchOver(): void {
  for (const sign of SIGNS_OF_LIFE) addEventListener(sign, stay, { passive: true });
  addEventListener('pagehide', drop);
  addEventListener('visibilitychange', () => {
    if (Date.now() - seenAt > IDLE_MS) drop();
  });
  tabs.addEventListener('message', drop);
}

function stay(): void {
  if (held === null) return;
  if (Date.now() - seenAt > IDLE_MS) {
    drop();
    return;
  }
  seenAt = Date.now();
  clearTimeout(timer);
  timer = setTimeout(drop, IDLE_MS);
}

function drop(): void {
  clearTimeout(timer);
  if (held === null) return;
  held.fill(0);
  held = null;
  tell();
}

function tell(): void {
  for (const one of listeners) one();
}
