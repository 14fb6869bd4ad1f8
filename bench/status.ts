import { join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";
import { checkout, node, withDaemon } from "@workfort/testing";
import { paired, timed, type Figure } from "./figures.ts";

/** `nexusctl status` as a whole process, beside the same Node doing nothing. */
export async function measure(): Promise<Figure[]> {
  let figure: Figure | null = null;
  await withDaemon({}, async (daemon) => {
    const ours = (): Promise<number> =>
      timed(() => runTool([join(checkout, "bin/nexusctl"), "status"], { env: daemon.env }));
    const nothing = (): Promise<number> => timed(() => runTool([node, "-e", "0"]));
    for (let round = 0; round < 3; round += 1) await ours();
    figure = { name: "nexusctl status beside node -e 0", unit: "ms", bound: 2.5, ...(await paired(21, ours, nothing)) };
  });
  return figure === null ? [] : [figure];
}
