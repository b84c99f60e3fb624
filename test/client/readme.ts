import { readFileSync } from 'node:fs';

/** The programs of one language in the README's section on clients, in order. */
export function programs(language: 'js' | 'python'): string[] {
  const text = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const section = text.slice(text.indexOf('## Client libraries'), text.indexOf('## Working on it'));
  const fence = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs');
  return [...section.matchAll(fence)].map(([, program = '']) => program);
}

/** A program for other places than those that it names. Throws where it does not name one. */
export function placed(program: string, places: Readonly<Record<string, string>>): string {
  let text = program;
  for (const [from, to] of Object.entries(places)) {
    if (!text.includes(from)) throw new Error(`the README no longer says ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}
