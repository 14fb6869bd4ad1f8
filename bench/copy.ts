import { spawn } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { GuestSession } from "@workfort/host/guest/session.ts";
import { connectToVmm } from "@workfort/host/process/unix-socket.ts";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";
import { withDaemon, type TestDaemon } from "@workfort/testing";
import { BareVm } from "./bare-vm.ts";
import { paired, timed, type Figure } from "./figures.ts";

/**
 * `nexusctl vm cp` out of a VM, written to this host's disk, beside `cat` and `tar` through the raw channel of a VM of
 * the same kind by a minimal client, which throws the bytes away. The large file is a hole: the VM has no disk to wait
 * for then.
 */
const fileMiB = 1024;
const smallFiles = 10_000;
const prepare = [
  "mkdir -p /dev/shm/tree",
  `truncate -s ${fileMiB}M /root/file`,
  `i=0; while [ $i -lt ${smallFiles} ]; do echo $i >/dev/shm/tree/$i; i=$((i+1)); done`,
].join("; ");
/** a rate of 0.8 */
const bound = 1.25;

export async function measure(): Promise<Figure[]> {
  const figures: Figure[] = [];
  await withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 1024 } });
    const params = { vm: "dev" };
    await daemon.client.call("vm.start", { params, body: {} });
    await daemon.client.call("vm.exec", { params, body: { argv: ["sh", "-ec", prepare] } });
    const vm = await BareVm.prepare(1024);
    await vm.start();
    const session = new GuestSession(
      await openChannel(() => connectToVmm(vm.agentSocket), AbortSignal.timeout(30_000)),
    );
    const raw = async (argv: string[]): Promise<void> => {
      const request = { method: "POST", path: "/v1/processes", body: { argv, attach: true }, timeoutMs: null } as const;
      const { body } = await session.request(request);
      for await (const _ of body);
    };
    await raw(["sh", "-ec", prepare]);
    const compare = async (name: string, rounds: number, source: string, argv: string[]): Promise<void> => {
      const ours = (): Promise<number> => copyOut(daemon, source);
      const theirs = (): Promise<number> => timed(() => raw(argv));
      await ours();
      await theirs();
      figures.push({ name, unit: "ms", bound, ...(await paired(rounds, ours, theirs)) });
    };
    await compare(`vm cp of ${fileMiB} MiB`, 3, "/root/file", ["cat", "/root/file"]);
    await compare(`vm cp of ${smallFiles} files`, 3, "/dev/shm/tree", ["tar", "-cC", "/dev/shm", "tree"]);
    session.destroy();
    await vm.end();
  });
  return figures;
}

async function copyOut(daemon: TestDaemon, source: string): Promise<number> {
  const target = join(daemon.directory, "copied");
  const took = await timed(async () => {
    const child = spawn("bin/nexusctl", ["vm", "cp", `dev:${source}`, target], { env: daemon.env, stdio: "ignore" });
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) throw new Error(`vm cp ended with ${code}`);
  });
  await fs.rm(target, { recursive: true });
  return took;
}
