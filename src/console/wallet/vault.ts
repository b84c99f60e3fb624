import { isSealed, type Sealed } from './seal.ts';

/** The browser's own store of this origin: the sealed secret, the names of sites that were looked up, and which key a site knows. */

const NAME = 'lemma-wallet';
const STORE = 'wallet';
const SEALED = 'sealed';
const SITES = 'sites';
const NUMBERS = 'key-numbers';

/** Null: there is no wallet here. Throws where the store cannot be read, or holds something else. */
export async function readSealed(): Promise<Sealed | null> {
  const found = await within('readonly', (store) => store.get(SEALED));
  if (found === undefined) return null;
  if (!isSealed(found))
    throw new Error('What this browser has of the wallet is damaged. Wipe it, then restore it by its words.');
  return found;
}

export async function writeSealed(sealed: Sealed): Promise<void> {
  await within('readwrite', (store) => store.put(sealed, SEALED));
  // So that the browser does not drop it when space is short. It may say no: the words are the backup.
  await navigator.storage?.persist?.().catch(() => false);
}

export async function readSites(): Promise<string[]> {
  const found = await within('readonly', (store) => store.get(SITES));
  return Array.isArray(found) ? found.filter((one): one is string => typeof one === 'string') : [];
}

export async function writeSites(hosts: readonly string[]): Promise<void> {
  await within('readwrite', (store) => store.put([...hosts], SITES));
}

/** By host. */
export async function readNumbers(): Promise<Record<string, number>> {
  const found = await within('readonly', (store) => store.get(NUMBERS));
  if (typeof found !== 'object' || found === null) return {};
  const whole = Object.entries(found).filter(
    (one): one is [string, number] => Number.isInteger(one[1]) && one[1] >= 0 && one[1] <= 0xffff_ffff,
  );
  return Object.fromEntries(whole);
}

export async function writeNumbers(numbers: Readonly<Record<string, number>>): Promise<void> {
  await within('readwrite', (store) => store.put({ ...numbers }, NUMBERS));
}

/** Nothing of it is left in this browser. */
export async function wipe(): Promise<void> {
  await within('readwrite', (store) => store.clear());
}

async function within(
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest,
): Promise<unknown> {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode, { durability: 'strict' });
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
      transaction.onerror = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
