import { withDaemon } from "@workfort/testing";
import { BareVm } from "./bare-vm.ts";
import { paired, timed, type Figure } from "./figures.ts";

/** `vm start` until the agent answers, beside QEMU by hand until the agent's first line. */
export async function measure(): Promise<Figure[]> {
  let figure: Figure | null = null;
  await withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 512 } });
    const params = { vm: "dev" };
    const ours = async (): Promise<number> => {
      const ms = await timed(() => daemon.client.call("vm.start", { params, body: {} }));
      await daemon.client.call("vm.kill", { params });
      return ms;
    };
    const bare = async (): Promise<number> => {
      const vm = await BareVm.prepare(512);
      const ms = await timed(() => vm.start());
      await vm.end();
      return ms;
    };
    await ours();
    figure = { name: "vm start until the agent answers", unit: "ms", bound: 1.25, ...(await paired(9, ours, bare)) };
  });
  return figure === null ? [] : [figure];
}
