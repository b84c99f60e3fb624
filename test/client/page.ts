import { readFileSync } from 'node:fs';

/** The programs of one language on the page on client libraries, in order. */
export function programs(language: 'js' | 'python'): string[] {
  const text = readFileSync(new URL('../../src/docs/clients.md', import.meta.url), 'utf8');
  const fence = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs');
  return [...text.matchAll(fence)].map(([, program = '']) => program);
}

/** A program for other places than those that it names. Throws where it does not name one. */
export function placed(program: string, places: Readonly<Record<string, string>>): string {
  let text = program;
  for (const [from, to] of Object.entries(places)) {
    if (!text.includes(from)) throw new Error(`the page no longer says ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}
