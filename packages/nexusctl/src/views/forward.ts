import type { Forward } from "@workfort/contract";
import type { Paint } from "../format/colour.ts";
import { renderTable, type Column } from "../format/table.ts";
import { formatAge } from "../format/units.ts";

export async function forwardTable(forwards: readonly Forward[], now: number, paint: Paint): Promise<string> {
  const columns: Column<Forward>[] = [
    { title: "LISTENS ON", cell: ({ listen, listening }) => (listening ? listen : { text: listen, style: "red" }) },
    { title: "VM", cell: ({ vmName }) => vmName },
    { title: "LEADS TO", cell: guestEnd },
    { title: "OPEN", align: "right", cell: ({ openConnections }) => String(openConnections) },
    { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt, now) },
    { title: "ID", cell: ({ id }) => ({ text: id, style: "dim" }) },
    { title: "TROUBLE", cell: ({ trouble }) => trouble ?? "" },
  ];
  const shown = forwards.some(({ trouble }) => trouble !== null) ? columns : columns.slice(0, -1);
  return await renderTable(shown, forwards, paint);
}

/** `127.0.0.1:8080 leads to port 3000 of dev` */
export function forwardText(forward: Forward): string {
  return `${forward.listen} leads to ${guestEnd(forward)} of ${forward.vmName}`;
}

function guestEnd({ guestPort, guestSocket }: Forward): string {
  return guestSocket ?? `port ${guestPort}`;
}
