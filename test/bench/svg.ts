/** Line charts as SVG text: panels side by side, the same x in each, both axes logarithmic. */

export interface Series {
  readonly name: string;
  /** CSS colour. */
  readonly colour: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

/** Pixels. */
const [WIDTH, HEIGHT] = [440, 330];
const MARGIN = { left: 62, right: 16, top: 34, bottom: 44 };
const TEXT = 'font-family="system-ui, sans-serif" font-size="12" fill="#24292f"';

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const short = (value: number): string =>
  value >= 1e9 ? `${value / 1e9}G` : value >= 1e6 ? `${value / 1e6}M` : value >= 1e4 ? `${value / 1e3}k` : `${value}`;

export function chart(panels: readonly Panel[]): string {
  const size = `width="${WIDTH * panels.length}" height="${HEIGHT}"`;
  const drawn = panels.map((panel, i) => `<g transform="translate(${i * WIDTH} 0)">\n${drawPanel(panel)}\n</g>`);
  const titles = panels.map(({ title }) => escaped(title)).join('; ');
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n<title>${titles}</title>\n<rect ${size} fill="#fff"/>\n${drawn.join('\n')}\n</svg>\n`;
}

function drawPanel({ title, x, y, series }: Panel): string {
  const all = series.flatMap(({ points }) => points);
  const xs = [...new Set(all.map(([value]) => value))].sort((a, b) => a - b);
  const decades = powersAround(all.map(([, value]) => value));
  const across = scale(xs[0] as number, xs.at(-1) as number, MARGIN.left, WIDTH - MARGIN.right);
  const up = scale(decades[0] as number, decades.at(-1) as number, HEIGHT - MARGIN.bottom, MARGIN.top);
  const [left, right, bottom] = [MARGIN.left, WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
  const line = (x1: number, y1: number, x2: number, y2: number): string =>
    `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#d0d7de"/>`;
  const text = (tx: number, ty: number, anchor: string, words: string): string =>
    `<text x="${tx}" y="${ty}" text-anchor="${anchor}" ${TEXT}>${escaped(words)}</text>`;
  return [
    `<text x="${left}" y="18" ${TEXT} font-weight="600">${escaped(title)}</text>`,
    ...decades.flatMap((value) => [line(left, up(value), right, up(value)), text(left - 6, up(value) + 4, 'end', short(value))]),
    ...xs.map((value) => line(across(value), MARGIN.top, across(value), bottom)),
    ...apart(xs, across).map((value) => text(across(value), bottom + 16, 'middle', short(value))),
    text((left + right) / 2, HEIGHT - 8, 'middle', x),
    `<text transform="translate(14 ${(MARGIN.top + bottom) / 2}) rotate(-90)" text-anchor="middle" ${TEXT}>${escaped(y)}</text>`,
    ...series.flatMap(({ name, colour, points }, i) => [
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.map(([px, py]) => `${across(px)},${up(py)}`).join(' ')}"/>`,
      ...points.map(([px, py]) => `<circle cx="${across(px)}" cy="${up(py)}" r="3" fill="${colour}"/>`),
      `<rect x="${left + 8}" y="${MARGIN.top + 6 + 16 * i}" width="12" height="3" fill="${colour}"/>`,
      text(left + 26, MARGIN.top + 12 + 16 * i, 'start', name),
    ]),
  ].join('\n');
}

/** The values whose labels do not touch the one before. */
function apart(values: readonly number[], across: (value: number) => number): number[] {
  let last = Number.NEGATIVE_INFINITY;
  return values.filter((value) => {
    const fits = across(value) - last > 30;
    if (fits) last = across(value);
    return fits;
  });
}

/** Powers of ten from just below the least to just above the most. */
function powersAround(values: readonly number[]): number[] {
  const [least, most] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
  return Array.from({ length: Math.max(2, most - least + 1) }, (_, i) => 10 ** (least + i));
}

/** Logarithmic, rounded to a tenth of a pixel. */
const scale =
  (from: number, to: number, start: number, end: number) =>
  (value: number): number =>
    Math.round(10 * (start + ((end - start) * Math.log(value / from)) / Math.log(to / from))) / 10;
