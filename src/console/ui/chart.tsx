import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export interface Series {
  readonly name: string;
  /** Of a custom property: `--allow`. */
  readonly color: string;
  readonly values: readonly number[];
}

export interface ChartProps {
  /** What it shows, in words, with its latest figures: for who cannot see it. */
  readonly label: string;
  /** Seconds since 1970, one for each value. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  /** Told which point was clicked. */
  readonly onPick?: (index: number) => void;
}

/** Lines over time. Colours are those of the theme, also when it changes. */
export function Chart({ label, times, series, onPick }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const latest = useRef({ times, series, onPick });
  latest.current = { times, series, onPick };
  const height = 13.5 * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const names = series.map(({ name, color }) => `${name} ${color}`).join(' ');

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const make = () => {
      plot.current?.destroy();
      const { times: at, series: shown } = latest.current;
      const { clientWidth: width } = element;
      plot.current = new UPlot(optionsOf(element, shown, width, height), dataOf(at, shown), element);
      plot.current.over.addEventListener('click', () => {
        const index = plot.current?.cursor.idx;
        if (typeof index === 'number') latest.current.onPick?.(index);
      });
    };
    make();
    const themes = new MutationObserver(make);
    themes.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    sizes.observe(element);
    return () => {
      themes.disconnect();
      sizes.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [names, height]);

  useEffect(() => {
    plot.current?.setData(dataOf(times, series));
  }, [times, series]);

  return (
    <figure class="chart" aria-label={label} role="img">
      <div ref={place} style={{ minHeight: `${height}px` }} />
    </figure>
  );
}

function dataOf(times: readonly number[], series: readonly Series[]): UPlot.AlignedData {
  return [[...times], ...series.map(({ values }) => [...values])];
}

function optionsOf(
  element: HTMLElement,
  series: readonly Series[],
  width: number,
  height: number,
): UPlot.Options {
  const style = getComputedStyle(element);
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color('--soft'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
    font: `${0.7 * rem}px ${style.fontFamily}`,
  };
  return {
    width,
    height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { points: { size: 7 }, drag: { x: false, y: false }, y: false },
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(4, high * 1.15)] } },
    axes: [
      { ...axis, space: 6 * rem, size: 2 * rem, values: (_plot, times) => times.map(clockOf) },
      { ...axis, size: 2.6 * rem, space: 2.4 * rem },
    ],
    series: [
      {},
      ...series.map(({ name, color: property }) => ({
        label: name,
        stroke: color(property),
        fill: `color-mix(in srgb, ${color(property)} 14%, transparent)`,
        width: 1.75,
        points: { show: false },
      })),
    ],
  };
}

/** The reader's own time, to the second where a second counts. */
function clockOf(seconds: number): string {
  const at = new Date(seconds * 1000);
  const two = (n: number) => String(n).padStart(2, '0');
  const minute = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return at.getSeconds() === 0 ? minute : `${minute}:${two(at.getSeconds())}`;
}
