import { eventually, makeFirecrackerDouble, withDaemon, testEnvironment, type TestDaemon } from "@workfort/testing";
import { BareFirecracker } from "./bare-firecracker.ts";
import { paired, timed, type Figure } from "./figures.ts";

/**
 * `vm start` until Firecracker has accepted the guest's start and the VM's record says so, beside a minimal client that
 * starts the same program and sends it the same requests. The program is the double, which takes some hundred ms to
 * come up: both sides wait for it.
 */
const memoryMiB = 128;

export async function measure(): Promise<Figure[]> {
  let figure: Figure | null = null;
  const { program } = await makeFirecrackerDouble(testEnvironment().root);
  await withDaemon({ config: configFor(program, false) }, async (daemon) => {
    await createVm(daemon, memoryMiB);
    const params = { vm: "dev" };
    const ours = async (): Promise<number> => {
      const ms = await timed(() => daemon.client.call("vm.start", { params, body: { waitForAgent: false } }));
      await daemon.client.call("vm.kill", { params });
      return ms;
    };
    const bare = async (): Promise<number> => {
      const vm = await BareFirecracker.prepare(program, memoryMiB);
      const ms = await timed(() => vm.startByApi());
      await vm.end();
      return ms;
    };
    await ours();
    figure = {
      name: "vm start until Firecracker has accepted it",
      unit: "ms",
      bound: 1.5,
      ...(await paired(15, ours, bare)),
    };
  });
  return figure === null ? [] : [figure];
}

export const configFor = (program: string, confine: boolean): string =>
  `api:\n  listen: off\nvmm:\n  default: firecracker\n  firecracker: ${program}\n  confine: ${confine}\n`;

/** Makes VM `dev`, once Firecracker has been found to work. */
export async function createVm(daemon: TestDaemon, memoryMiB: number): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", {
    // the one by hand has no interface either
    body: { name: "dev", image: "base", memoryMiB, network: { enabled: false } },
  });
  await eventually(
    async () => (await daemon.client.call("system.status")).vmm,
    ({ usable }) => usable,
  );
}
