import { type CpuProfile, nameOf, type ProfileNode, selfTimes } from './profile.ts';

const WIDTH = 1600;
const ROW = 16;
/** Narrower boxes are left out, pixels. */
const NARROWEST = 0.4;
/** Of a character of the text, pixels. */
const CHARACTER = 6.2;

/** A CPU profile as one SVG without scripts: width is time, callers stand below; hover for names and shares. */
export function flameGraph(profile: CpuProfile, title: string): string {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const self = selfTimes(profile);
  const total = (node: ProfileNode): number =>
    (self.get(node.id) ?? 0) + childrenOf(node).reduce((sum, child) => sum + total(child), 0);
  const childrenOf = (node: ProfileNode): ProfileNode[] =>
    (node.children ?? []).flatMap((id) => nodes.get(id) ?? []);
  const [root] = profile.nodes;
  if (root === undefined) throw new Error('an empty profile');
  const whole = total(root);
  const boxes: string[] = [];
  let deepest = 0;

  function draw(node: ProfileNode, x: number, depth: number): void {
    const width = (WIDTH * total(node)) / whole;
    if (width < NARROWEST) return;
    deepest = Math.max(deepest, depth);
    const name = nameOf(node);
    const share = ((100 * width) / WIDTH).toFixed(2);
    const shown = name.slice(0, Math.floor(width / CHARACTER));
    boxes.push(
      `<g transform="translate(${x.toFixed(1)} ${-depth * ROW})"><title>${escaped(name)} ${share} %</title>` +
        `<rect width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colourOf(node)}"/>` +
        `<text x="2" y="11">${escaped(shown)}</text></g>`,
    );
    let at = x;
    for (const child of childrenOf(node)) {
      draw(child, at, depth + 1);
      at += (WIDTH * total(child)) / whole;
    }
  }

  draw(root, 0, 0);
  const height = (deepest + 3) * ROW;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="10">` +
    `<rect width="100%" height="100%" fill="#fff"/><text x="4" y="12" font-size="12">${escaped(title)}</text>` +
    `<g transform="translate(0 ${height - ROW})">${boxes.join('')}</g></svg>\n`
  );
}

/** Ours, packages, Node itself and the rest (WebAssembly, garbage collection) by hue. */
function colourOf({ callFrame: { url } }: ProfileNode): string {
  if (url.includes('/node_modules/')) return '#f2c879';
  if (url.startsWith('file:')) return '#e8896a';
  if (url.startsWith('node:')) return '#a9c7e8';
  return '#c9c9c9';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
