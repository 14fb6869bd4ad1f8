import { painter, type Paint, type Style } from "./colour.ts";

export interface Cell {
  text: string;
  style?: Style | undefined;
}

export interface Column<Row> {
  title: string;
  cell: (row: Row) => string | Cell;
  /** numbers read better at the right */
  align?: "right";
}

type Width = (text: string) => number;

const gap = "   ";
const plain = /^[\x20-\x7e]*$/;

/** Columns of a width that text takes on a terminal; the measuring of wide characters is loaded where there are any. */
async function measure(texts: Iterable<string>): Promise<Width> {
  for (const text of texts) {
    if (!plain.test(text)) return (await import("string-width")).default;
  }
  return (text) => text.length;
}

/** Rows under a line of titles: aligned, without borders and without spaces at the ends of lines. */
export async function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  paint: Paint = painter(false),
): Promise<string> {
  const titles = columns.map(({ title }): Cell => ({ text: title, style: "dim" }));
  const cells = [titles, ...rows.map((row) => columns.map(({ cell }) => toCell(cell(row))))];
  const width = await measure(cells.flat().map(({ text }) => text));
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => width(line[at]?.text ?? ""))));
  return cells
    .map((line) =>
      line
        .map(({ text, style }, at) => {
          const space = " ".repeat((widths[at] ?? 0) - width(text));
          const painted = style === undefined ? text : paint(style, text);
          if (columns[at]?.align === "right") return space + painted;
          return at === line.length - 1 ? painted : painted + space;
        })
        .join(gap)
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** Names and values, one pair a line. */
export function renderPairs(pairs: readonly (readonly [name: string, value: string | null])[], paint: Paint): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null);
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${paint("dim", name.padEnd(width))}   ${value}\n`).join("");
}

function toCell(value: string | Cell): Cell {
  return typeof value === "string" ? { text: value } : value;
}
