import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { needPart } from './envoy-scene.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
/** Not a real name: a page there is, for a browser, not served securely. */
export const INSECURE_HOST = 'lemma.test';

/** A real browser, without a window. Without one the tests are skipped, aloud; in CI they fail. */
export function needChromium(context: Mocha.Context): Promise<Browser> {
  return needPart(context, 'real Chromium', launchChromium);
}

/** Rejects with what to do where there is none. */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath(),
    args: [`--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`],
    // Root has no sandbox to give; the pages are our own.
    chromiumSandbox: process.getuid?.() !== 0,
  });
}

/** The browser's program. Throws with what to do where there is none. */
export function chromiumPath(): string {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(isExecutable);
  if (found === undefined) throw new Error(`no ${NAMES.join(', ')} on the PATH: apt-get install chromium`);
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
