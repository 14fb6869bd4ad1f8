import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { locate } from "@workfort/contract/locations";
import { prepareAssets } from "@workfort/host/assets/prepare.ts";
import { runTool } from "@workfort/host/process/run.ts";

/** A btrfs in a loop file, with a kernel and a root disk in it, for tests and benches; it goes with `remove`. */
const storeBytes = 24 * 1024 ** 3; // sparse

export interface TestStore {
  directory: string;
  /** what packages/testing looks for */
  env: Record<string, string>;
  /** Takes it away, and gives the processes that were still about it and had to be ended for that. */
  remove(): Promise<string[]>;
}

/** for what is about to end, ms */
const endingMs = 3000;

export async function makeTestStore(signal: AbortSignal): Promise<TestStore> {
  if (process.getuid?.() !== 0)
    throw new Error("mounting the tests' file system needs root; run this as root or through sudo");
  const { cacheDirectory } = locate(process.env, 0);
  const assets = await prepareAssets(cacheDirectory, { signal, onProgress: (text) => console.log(`  ${text}`) });
  const directory = await fs.mkdtemp(join(tmpdir(), "workfort-test-"));
  const runtime = await fs.mkdtemp(join(tmpdir(), "wf"));
  const store = join(directory, "store");
  const remove = async (): Promise<string[]> => {
    const ended = await endAllAbout([directory, runtime]);
    await fs.rm(runtime, { recursive: true, force: true });
    await runTool(["umount", store], { okCodes: [0, 1, 32] });
    await fs.rm(directory, { recursive: true, force: true });
    return ended;
  };
  try {
    const file = join(directory, "store.btrfs");
    await fs.mkdir(store);
    await fs.writeFile(file, "");
    await fs.truncate(file, storeBytes);
    await runTool(["mkfs.btrfs", "--quiet", file]);
    await runTool(["mount", "-o", "loop,noatime,discard=async", file, store]);
    await fs.chmod(directory, 0o755);
    for (const place of [store, runtime]) await fs.chmod(place, 0o1777);
    const kernel = join(store, `kernel-${basename(assets.kernelDirectory)}`);
    await runTool(["cp", "--recursive", "--sparse=always", assets.kernelDirectory, kernel]);
    await runTool(["cp", "--sparse=always", assets.rootfsImage, join(store, "debian.ext4")]);
    await runTool(["chmod", "-R", "a+rX", kernel, join(store, "debian.ext4")]);
    await fs.chmod(kernel, 0o1777); // whoever runs tests keeps an initramfs there
    const compileCache = join(store, "node");
    await fs.mkdir(compileCache);
    await fs.chmod(compileCache, 0o1777);
    const env = {
      WORKFORT_TEST_ROOT: store,
      WORKFORT_TEST_RUNTIME: runtime,
      WORKFORT_TEST_KERNEL: kernel,
      NODE_COMPILE_CACHE: compileCache, // with an empty one every start of ours takes twice as long
    };
    return { directory, env, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Ends what names one of them in its arguments or environment and does not end by itself; gives the command lines. */
async function endAllAbout(directories: readonly string[]): Promise<string[]> {
  const ended = new Map<number, string>();
  const groups = new Set<string>();
  for (const isLast of [false, true]) {
    const deadline = performance.now() + endingMs;
    let found = await processesAbout(directories);
    while (found.length > 0 && performance.now() < deadline) {
      await delay(100);
      found = await processesAbout(directories);
    }
    if (found.length === 0 || isLast) break;
    for (const { pid, commandLine } of found) {
      ended.set(pid, commandLine);
      for (const group of await ownGroups(pid)) groups.add(group);
      tryKill(pid);
    }
  }
  for (const group of groups) await fs.rmdir(group).catch(() => {});
  return [...ended.values()];
}

async function processesAbout(directories: readonly string[]): Promise<{ pid: number; commandLine: string }[]> {
  const found: { pid: number; commandLine: string }[] = [];
  for (const name of await fs.readdir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const read = (file: string): Promise<string> => fs.readFile(`/proc/${pid}/${file}`, "latin1").catch(() => "");
    const [commandLine, environment] = await Promise.all([read("cmdline"), read("environ")]);
    if (directories.some((directory) => `${commandLine}${environment}`.includes(directory)))
      found.push({ pid, commandLine: commandLine.replaceAll("\0", " ").trim() });
  }
  return found;
}

/** Directories of the control groups of ours that a process is in (cgroups(7)). */
async function ownGroups(pid: number): Promise<string[]> {
  const lines = await fs.readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
  return [...lines.matchAll(/^\d+:([^:]*):(\/workfort\/.+)$/gm)].map(([, controllers = "", path = ""]) =>
    join("/sys/fs/cgroup", controllers, path),
  );
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended
  }
}
