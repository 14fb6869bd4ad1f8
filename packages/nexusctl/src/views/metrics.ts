import type { VmMetrics } from "@workfort/contract";
import type { Paint } from "../format/colour.ts";
import { renderPairs, renderTable, type Column } from "../format/table.ts";
import { formatBytes, formatDuration } from "../format/units.ts";
import { countersText } from "./network.ts";

type Disk = NonNullable<VmMetrics["disks"]>[number];

export async function metricsText(
  { processorSeconds, residentBytes, disks, network }: VmMetrics,
  paint: Paint,
): Promise<string> {
  const usage = renderPairs(
    [
      ["Processor time", formatDuration(processorSeconds * 1000)],
      ["Resident memory", formatBytes(residentBytes)],
    ],
    paint,
  );
  const passed = network === null ? "" : `\n${countersText(network, paint)}`;
  if (disks === null) return `${usage}${passed}\n${paint("yellow", "its VMM has not told of its disks in time")}\n`;
  const columns: Column<Disk>[] = [
    { title: "DISK", cell: ({ name }) => name },
    { title: "READ", align: "right", cell: ({ readBytes }) => formatBytes(readBytes) },
    { title: "WRITTEN", align: "right", cell: ({ writtenBytes }) => formatBytes(writtenBytes) },
    { title: "READS", align: "right", cell: ({ reads }) => String(reads) },
    { title: "WRITES", align: "right", cell: ({ writes }) => String(writes) },
    { title: "FLUSHES", align: "right", cell: ({ flushes }) => String(flushes) },
  ];
  return `${usage}${passed}\n${await renderTable(columns, disks, paint)}`;
}
