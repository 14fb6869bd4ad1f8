import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import { connect } from "node:net";
import { basename, join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";
import { checkout, eventually, nativePrograms, node, TestDaemon, makeDaemon } from "@workfort/testing";
import { median, type Figure } from "./figures.ts";

/** Resident memory: the daemon, bundled, beside an empty server of the same framework; and what a running VM adds. */
const rounds = 5;

export async function measure(): Promise<Figure[]> {
  const bundle = join(checkout, "dist");
  const program = await bundleOf("packages/nexusd/src/main.ts", bundle);
  const emptyProgram = await bundleOf("bench/empty-server.ts", bundle);
  const daemon = await makeDaemon({ env: { NEXUS_PROGRAMS: nativePrograms, NODE_OPTIONS: await nodeFlags() } });
  const idle: number[] = [];
  const empty: number[] = [];
  const figures: Figure[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      await daemon.start({}, program);
      idle.push(await settled(daemon.pid));
      await daemon.stop();
      empty.push(await emptyServer(emptyProgram, join(daemon.directory, `empty-${round}`)));
    }
    figures.push({
      name: "nexusd idle, bundled",
      unit: "MiB",
      value: median(idle),
      baseline: median(empty),
      bound: 1.3,
      rounds,
    });
    figures.push(...(await ofVms(daemon, program)));
  } finally {
    await daemon.dispose();
    await fs.rm(bundle, { recursive: true, force: true });
  }
  return figures;
}

/** In pieces that are loaded when they are used, as the source is. */
async function bundleOf(entry: string, directory: string): Promise<string> {
  await runTool(
    [
      join(checkout, "node_modules/.bin/rolldown"),
      entry,
      "--platform",
      "node",
      "--format",
      "esm",
      "--external",
      "koffi",
      "--dir",
      directory,
      "--minify",
      "--charset",
      "ascii", // one character beyond it, and V8 keeps the source with two bytes each
    ],
    { cwd: checkout },
  );
  return join(directory, `${basename(entry, ".ts")}.js`);
}

/** what the launcher gives Node */
async function nodeFlags(): Promise<string> {
  const launcher = await fs.readFile(join(checkout, "bin/nexusd"), "utf8");
  return /^node_flags=(.*)$/m.exec(launcher)?.[1] ?? "";
}

async function ofVms(daemon: TestDaemon, program: string): Promise<Figure[]> {
  await daemon.start({}, program);
  await daemon.importBase();
  const before = await settled(daemon.pid);
  const names = ["one", "two", "three"];
  for (const name of names) {
    await daemon.client.call("vm.create", { body: { name, image: "base", memoryMiB: 256 } });
    await daemon.client.call("vm.start", { params: { vm: name }, body: {} });
  }
  const after = await settled(daemon.pid);
  const pids = (await daemon.processes()).map(
    (line) => [Number(/^process (\d+)/.exec(line)?.[1]), line.includes("/keeper ")] as const,
  );
  const of = async (keepers: boolean): Promise<number> =>
    median(await Promise.all(pids.filter(([, isKeeper]) => isKeeper === keepers).map(([pid]) => resident(pid))));
  const agent = await daemon.client.call("vm.exec", {
    params: { vm: "one" },
    body: { argv: ["sh", "-c", "grep VmRSS /proc/1/status | tr -dc 0-9"] },
  });
  const size = async (program: string): Promise<number> =>
    (await fs.stat(join(nativePrograms, program))).size / 1024 ** 2;
  const stated = { unit: "MiB", baseline: null, rounds: names.length } as const;
  return [
    { name: "a running VM adds to nexusd", ...stated, value: (after - before) / names.length, bound: null },
    { name: "a running VM's keeper", ...stated, value: await of(true), bound: null },
    { name: "a running VM's QEMU, 256 MiB guest", ...stated, value: await of(false), bound: null },
    { name: "guest agent, resident", ...stated, value: Number(agent.stdout) / 1024, bound: 5 },
    { name: "guest agent, on disk", ...stated, value: await size("guest-agent"), bound: 3 },
    { name: "keeper, on disk", ...stated, value: await size("keeper"), bound: null },
  ];
}

async function emptyServer(program: string, socket: string): Promise<number> {
  const child = spawn(node, [program, socket], { stdio: "ignore" });
  await eventually(
    () => canConnect(socket),
    (yes) => yes,
  );
  const memory = await settled(child.pid ?? 0);
  child.kill("SIGKILL");
  return memory;
}

async function canConnect(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  return await promise.finally(() => socket.destroy());
}

/** Resident memory in MiB once it no longer changes by more than 1 %. */
async function settled(pid: number): Promise<number> {
  let last = 0;
  for (;;) {
    const now = await resident(pid);
    if (Math.abs(now - last) < now / 100) return now;
    last = now;
    await new Promise((again) => setTimeout(again, 1500));
  }
}

async function resident(pid: number): Promise<number> {
  const status = await fs.readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}
