import { GuestSession } from "@workfort/host/guest/session.ts";
import { connectToVmm } from "@workfort/host/process/unix-socket.ts";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";
import { withDaemon } from "@workfort/testing";
import { BareVm } from "./bare-vm.ts";
import { paired, timed, type Figure } from "./figures.ts";

/** Runs a command by a minimal client. */
export async function runRaw(session: GuestSession, argv: readonly string[]): Promise<void> {
  const { body } = await session.request({ method: "POST", path: "/v1/processes", body: { argv, attach: true } });
  await Array.fromAsync(body);
}

/** A command through the API, beside the same through the raw channel of a VM of the same kind by a minimal client. */
export async function measure(): Promise<Figure[]> {
  let figure: Figure | null = null;
  await withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 512 } });
    const params = { vm: "dev" };
    await daemon.client.call("vm.start", { params, body: {} });
    const vm = await BareVm.prepare(512);
    await vm.start();
    const session = new GuestSession(
      await openChannel(() => connectToVmm(vm.agentSocket), AbortSignal.timeout(30_000)),
    );
    const argv = ["/bin/true"];
    const ours = (): Promise<number> => timed(() => daemon.client.call("vm.exec", { params, body: { argv } }));
    const raw = (): Promise<number> => timed(() => runRaw(session, argv));
    for (let round = 0; round < 50; round += 1) {
      await ours();
      await raw();
    }
    figure = { name: "vm exec of true", unit: "ms", bound: 1.3, ...(await paired(300, ours, raw)) };
    session.destroy();
    await vm.end();
  });
  return figure === null ? [] : [figure];
}
