import { crc32, deflateSync, inflateSync } from 'node:zlib';

/** PNG (W3C, third edition), as far as Chromium's pictures go: eight bits, RGB or RGBA, not interlaced. */

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
const COLOURS = 256;

interface Pixels {
  readonly width: number;
  readonly height: number;
  /** 0xRRGGBB of each. */
  readonly colours: Uint32Array;
}

/**
 * The same picture in the 256 colours that it has most of; each other one becomes the nearest of them. What a page shows is
 * flat colours and the edges of letters: nobody sees the difference, and it is a third of the size.
 */
export function smallPng(png: Uint8Array): Buffer {
  const { width, height, colours } = read(Buffer.from(png));
  const palette = mostUsed(colours);
  const places = new Map(palette.map((colour, n) => [colour, n]));
  const raw = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    // The first byte of a row stays 0: no filter, which suits a palette.
    for (let x = 0; x < width; x += 1) {
      const colour = colours[y * width + x] ?? 0;
      let place = places.get(colour);
      if (place === undefined) {
        place = nearest(palette, colour);
        places.set(colour, place);
      }
      raw[y * (width + 1) + 1 + x] = place;
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', head),
    chunk('PLTE', Buffer.from(palette.flatMap((colour) => channels(colour)))),
    chunk('IDAT', deflateSync(raw, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function mostUsed(colours: Uint32Array): number[] {
  const counts = new Map<number, number>();
  for (const colour of colours) counts.set(colour, (counts.get(colour) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, COLOURS)
    .map(([colour]) => colour);
}

function channels(colour: number): [number, number, number] {
  return [colour >> 16, (colour >> 8) & 255, colour & 255];
}

function nearest(palette: readonly number[], colour: number): number {
  const wanted = channels(colour);
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const [place, one] of palette.entries()) {
    const distance = channels(one).reduce((sum, value, n) => sum + (value - (wanted[n] ?? 0)) ** 2, 0);
    if (distance >= least) continue;
    least = distance;
    best = place;
  }
  return best;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

function read(png: Buffer): Pixels {
  if (!png.subarray(0, 8).equals(SIGNATURE)) throw new Error('not a PNG');
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const [depth, type, , , interlaced] = png.subarray(24, 29);
  if (depth !== 8 || (type !== 2 && type !== 6) || interlaced !== 0)
    throw new Error(`a PNG of depth ${depth}, type ${type}, interlace ${interlaced}`);
  const data: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  return {
    width,
    height,
    colours: unfiltered(inflateSync(Buffer.concat(data)), width, height, type === 6 ? 4 : 3),
  };
}

/** Section 9, "Filtering". `size`: bytes of a pixel. */
function unfiltered(raw: Buffer, width: number, height: number, size: number): Uint32Array {
  const stride = width * size;
  const colours = new Uint32Array(width * height);
  let above: Uint8Array = new Uint8Array(stride);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (stride + 1)] ?? 0;
    const row = Uint8Array.prototype.slice.call(raw, y * (stride + 1) + 1, (y + 1) * (stride + 1));
    for (let n = 0; n < stride; n += 1) {
      const left = n < size ? 0 : (row[n - size] ?? 0);
      const up = above[n] ?? 0;
      const corner = n < size ? 0 : (above[n - size] ?? 0);
      row[n] = (row[n] ?? 0) + predicted(filter, left, up, corner);
    }
    for (let x = 0; x < width; x += 1) {
      const [red = 0, green = 0, blue = 0] = row.subarray(x * size, x * size + 3);
      colours[y * width + x] = (red << 16) | (green << 8) | blue;
    }
    above = row;
  }
  return colours;
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  switch (filter) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    default: {
      const guess = left + up - corner;
      const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
      return a <= b && a <= c ? left : b <= c ? up : corner;
    }
  }
}
