import type { Terminal } from "@workfort/contract";
import { printable, type Paint } from "../format/colour.ts";
import { renderTable, type Column } from "../format/table.ts";
import { formatAge } from "../format/units.ts";

const titleCharacters = 40;

export async function terminalTable(terminals: readonly Terminal[], now: number, paint: Paint): Promise<string> {
  const columns: Column<Terminal>[] = [
    { title: "TERMINAL", cell: ({ id }) => id },
    { title: "STATE", cell: (terminal) => stateOf(terminal) },
    { title: "SIZE", align: "right", cell: ({ columns: width, rows }) => `${width}x${rows}` },
    { title: "VIEWERS", align: "right", cell: ({ viewers }) => String(viewers) },
    { title: "AGE", align: "right", cell: ({ startedAt }) => formatAge(startedAt, now) },
    { title: "USER", cell: ({ user }) => printable(user) },
    { title: "TITLE OR COMMAND", cell: ({ title, argv }) => shorten(title === "" ? argv.join(" ") : title) },
  ];
  return await renderTable(columns, terminals, paint);
}

/** `running`, `exit 3`, `SIGKILL` */
function stateOf({ state, exitCode, signal }: Terminal): string {
  if (state === "running") return state;
  return exitCode === null ? `SIG${printable(signal ?? "?")}` : `exit ${exitCode}`;
}

function shorten(text: string): string {
  const shown = printable(text);
  return shown.length <= titleCharacters ? shown : `${shown.slice(0, titleCharacters - 1)}…`;
}
