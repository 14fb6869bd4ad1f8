import { join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";
import { deleteSubvolume, snapshotSubvolume } from "@workfort/host/storage/btrfs/ioctls.ts";
import { withDaemon } from "@workfort/testing";
import { median, timed, type Figure } from "./figures.ts";

/** Creating a VM with its workspace, beside the bare snapshot ioctl; and whether it stays so over a thousand. */
export async function measure(): Promise<Figure[]> {
  const creates: number[] = [];
  const snapshots: number[] = [];
  await withDaemon({ withoutKernel: true }, async (daemon) => {
    const source = join(daemon.directory, "tiny.ext4");
    await runTool(["mke2fs", "-q", "-F", "-t", "ext4", source, "16M"]);
    const image = await daemon.client.call("image.import", { body: { name: "tiny", source } });
    const { dataDirectory } = daemon.locations;
    for (let index = 0; index < 1000; index += 1) {
      creates.push(
        await timed(() => daemon.client.call("vm.create", { body: { name: `vm-${index}`, image: "tiny" } })),
      );
      if (index % 10 !== 0) continue;
      const target = join(dataDirectory, `bare-${index}`);
      snapshots.push(await timed(() => snapshotSubvolume(join(dataDirectory, "images", image.id.slice(4)), target)));
      await deleteSubvolume(target);
    }
  });
  return [
    {
      name: "create a VM with its workspace",
      unit: "ms",
      value: median(creates),
      baseline: median(snapshots),
      bound: 3,
      rounds: creates.length,
    },
    {
      name: "creates 951 to 1,000 beside 1 to 50",
      unit: "ms",
      value: median(creates.slice(950)),
      baseline: median(creates.slice(0, 50)),
      bound: 1.3,
      rounds: 50,
    },
  ];
}
