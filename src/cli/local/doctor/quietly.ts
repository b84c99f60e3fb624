/** What cannot be read is another check's finding. */
export function quietly<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
