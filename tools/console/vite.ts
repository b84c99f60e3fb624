import { fileURLToPath } from 'node:url';
import type { InlineConfig } from 'vite';

/** How the console becomes files: two pages, and hashed assets that never change under their name. */

const path = (name: string) => fileURLToPath(new URL(`../../src/console/${name}`, import.meta.url));

export const BUILT = path('built');
export const SOURCES = path('');

export function viteConfig(): InlineConfig {
  return {
    configFile: false,
    root: path(''),
    base: '/',
    logLevel: 'warn',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir: BUILT,
      emptyOutDir: true,
      assetsDir: 'console',
      // Nothing inline: the pages' policy would refuse it.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      target: 'es2023',
      rolldownOptions: { input: { 'agent-ops': path('agent-ops.html'), wallet: path('wallet.html') } },
    },
  };
}
