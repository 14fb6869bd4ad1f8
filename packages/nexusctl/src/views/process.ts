import type { Process } from "@workfort/contract";
import { printable, type Paint } from "../format/colour.ts";
import { renderTable, type Column } from "../format/table.ts";
import { formatTime } from "../format/units.ts";

const commandCharacters = 60;

/** Times are the guest's. */
export async function processTable(processes: readonly Process[], paint: Paint): Promise<string> {
  const columns: Column<Process>[] = [
    { title: "ID", cell: ({ id }) => id },
    {
      title: "STATE",
      cell: (process) => ({ text: endOf(process), style: process.endedAt === null ? "green" : "dim" }),
    },
    { title: "PID", align: "right", cell: ({ pid }) => String(pid) },
    { title: "USER", cell: ({ user }) => printable(user) },
    { title: "STARTED", cell: ({ startedAt }) => formatTime(startedAt) },
    { title: "STDOUT", align: "right", cell: ({ stdout }) => String(stdout.end) },
    { title: "STDERR", align: "right", cell: ({ stderr }) => String(stderr.end) },
    { title: "COMMAND", cell: ({ argv }) => shorten(printable(argv.join(" "))) },
  ];
  return await renderTable(columns, processes, paint);
}

/** `running`, `exit 7`, `KILL`, `TERM (time was up)` */
function endOf({ state, exitCode, signal, timedOut }: Process): string {
  if (state === "running") return state;
  return `${exitCode === null ? printable(signal ?? "ended") : `exit ${exitCode}`}${timedOut ? " (time was up)" : ""}`;
}

function shorten(text: string): string {
  return text.length > commandCharacters ? `${text.slice(0, commandCharacters - 1)}…` : text;
}
