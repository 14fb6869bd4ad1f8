import { withDaemon } from "@workfort/testing";
import { BareVm } from "./bare-vm.ts";
import { paired, timed, type Figure } from "./figures.ts";

/** Twenty VMs started at once until each agent answers, beside twenty QEMUs by hand until each agent's first line. */
const count = 20;
const memoryMiB = 128;
const rounds = 2;
/** twenty emulated boots share the host's processors */
const boundMs = 600_000;

export async function measure(): Promise<Figure[]> {
  let figure: Figure | null = null;
  await withDaemon({ config: "api:\n  listen: off\nvmm:\n  default: qemu\n" }, async (daemon) => {
    await daemon.importBase();
    const names = Array.from({ length: count }, (_, index) => `vm-${index}`);
    for (const name of names) await daemon.client.call("vm.create", { body: { name, image: "base", memoryMiB } });
    const all = (operation: "vm.start" | "vm.kill"): Promise<unknown> =>
      Promise.all(
        names.map((vm) =>
          operation === "vm.start"
            ? daemon.client.call(operation, { params: { vm }, body: { timeoutMs: boundMs } })
            : daemon.client.call(operation, { params: { vm } }),
        ),
      );
    const ours = async (): Promise<number> => {
      const ms = await timed(() => all("vm.start"));
      await all("vm.kill");
      return ms;
    };
    const bare = async (): Promise<number> => {
      const vms: BareVm[] = [];
      for (let index = 0; index < count; index += 1) vms.push(await BareVm.prepare(memoryMiB));
      const ms = await timed(() => Promise.all(vms.map((vm) => vm.start())));
      await Promise.all(vms.map((vm) => vm.end()));
      return ms;
    };
    figure = { name: "twenty VMs at once, all ready", unit: "ms", bound: 1.2, ...(await paired(rounds, ours, bare)) };
  });
  return figure === null ? [] : [figure];
}
