import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream, promises as fs } from "node:fs";
import { join } from "node:path";
import { GuestSession } from "@workfort/host/guest/session.ts";
import { connectToVmm } from "@workfort/host/process/unix-socket.ts";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";
import { withDaemon, type TestDaemon } from "@workfort/testing";
import { BareVm } from "./bare-vm.ts";
import { paired, timed, type Figure } from "./figures.ts";

/**
 * `nexusctl vm cp` out of a VM, written to this host's disk, beside `cat` and `tar` through the raw channel of a VM of
 * the same kind by a minimal client, which throws the bytes away; and into a VM, beside a `cat` there that writes what
 * the minimal client sends. The large files are holes, and what comes in lies in the VM's memory: no disk is waited for.
 */
const fileMiB = 1024;
const incomingMiB = 128;
const smallFiles = 10_000;
const rounds = 3;
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
    const compare = async (
      name: string,
      ours: () => Promise<number>,
      theirs: () => Promise<unknown>,
    ): Promise<void> => {
      await ours();
      await theirs();
      figures.push({ name, unit: "ms", bound, ...(await paired(rounds, ours, () => timed(theirs))) });
    };
    const copyOut = async (source: string): Promise<number> => {
      const target = join(daemon.directory, "copied");
      const took = await timed(() => copy(daemon, `dev:${source}`, target));
      await fs.rm(target, { recursive: true });
      return took;
    };
    await compare(
      `vm cp of ${fileMiB} MiB`,
      () => copyOut("/root/file"),
      () => raw(["cat", "/root/file"]),
    );
    await compare(
      `vm cp of ${smallFiles} files`,
      () => copyOut("/dev/shm/tree"),
      () => raw(["tar", "-cC", "/dev/shm", "tree"]),
    );
    const incoming = join(daemon.directory, "incoming");
    await fs.writeFile(incoming, "");
    await fs.truncate(incoming, incomingMiB * 1024 * 1024);
    await compare(
      `vm cp of ${incomingMiB} MiB into it`,
      () => timed(() => copy(daemon, incoming, "dev:/dev/shm/incoming")),
      () => feed(session, incoming, ["sh", "-c", "cat >/dev/shm/incoming"]),
    );
    session.destroy();
    await vm.end();
  });
  return figures;
}

async function copy(daemon: TestDaemon, from: string, to: string): Promise<void> {
  const child = spawn("bin/nexusctl", ["vm", "cp", from, to], { env: daemon.env, stdio: "ignore" });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`vm cp ended with ${code}`);
}

/** Sends a file to a command's stdin, and waits for its end. */
async function feed(session: GuestSession, file: string, argv: readonly string[]): Promise<void> {
  const id = `feed-${randomBytes(4).toString("hex")}`;
  const begin = { method: "POST", path: "/v1/processes", timeoutMs: null } as const;
  const { body: output } = await session.request({ ...begin, body: { id, argv, stdin: "open", attach: true } });
  const path = `/v1/processes/${id}/stdin?offset=0&close=true`;
  const bytes = createReadStream(file, { highWaterMark: 256 * 1024 });
  const { body: accepted } = await session.request({ ...begin, path, bytes });
  for await (const _ of accepted);
  for await (const _ of output);
}
