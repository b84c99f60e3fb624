import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../../src/docs', import.meta.url));

/** A fence of a page that is run: `serve` goes on until the page's end. */
export interface Fence {
  readonly kind: 'run' | 'serve';
  readonly text: string;
}

/** ```` ```sh run ```` and ```` ```sh serve ````, in their order. */
export function fencesOf(markdown: string): Fence[] {
  return [...markdown.matchAll(/^```sh (run|serve)\n(.*?)\n```$/gms)].map(([, kind, text = '']) => ({
    kind: kind === 'serve' ? 'serve' : 'run',
    text,
  }));
}

/** The pages as they lie there, front matter and all. */
export const PAGES = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.md'))
  .map((file) => ({
    name: file.replace(/\.md$/, ''),
    text: readFileSync(`${FOLDER}/${file}`, 'utf8'),
  }));
