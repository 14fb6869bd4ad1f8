import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync, closeSync } from "node:fs";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { createClient, type Client } from "@workfort/client";
import type { Vm } from "@workfort/contract";
import { locate, type Locations } from "@workfort/contract/locations";
import { deleteSubvolume } from "@workfort/host/storage/btrfs/ioctls.ts";
import { runTool } from "@workfort/host/process/run.ts";
import { checkout, compileCache, node, testEnvironment } from "./environment.ts";
import { eventually } from "./eventually.ts";

export interface DaemonOptions {
  /** content of nexus.yaml; guests have no network unless it says so */
  config?: string;
  env?: Record<string, string>;
  /** no kernel in the data directory */
  withoutKernel?: boolean;
  /** words before its command, such as those that enter a namespace */
  launch?: readonly string[];
  /** whose its directories are, where that is not who runs the test */
  uid?: number;
}

/**
 * A real nexusd with directories of its own, run as a child process. When the test is over it is stopped, its VMs are
 * killed, and whatever is left over (a process, a socket, a run directory) fails the test.
 */
export class TestDaemon {
  readonly directory: string;
  readonly locations: Locations;
  readonly client: Client;
  readonly #env: Record<string, string>;
  readonly #launch: readonly string[];
  readonly #log: string;
  #child: ChildProcess | null = null;

  constructor(directory: string, runtimeDirectory: string, { env = {}, launch = [], uid }: DaemonOptions = {}) {
    this.directory = directory;
    this.#launch = launch;
    this.#env = {
      PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`,
      HOME: directory,
      ...compileCache,
      XDG_DATA_HOME: join(directory, "data"),
      XDG_STATE_HOME: join(directory, "state"),
      XDG_CONFIG_HOME: join(directory, "config"),
      XDG_CACHE_HOME: join(directory, "cache"),
      XDG_RUNTIME_DIR: runtimeDirectory,
      ...env,
    };
    this.locations = locate(this.#env, uid ?? process.getuid?.() ?? 0);
    this.client = createClient({ socket: this.locations.socket });
    this.#log = join(directory, "log");
  }

  /** environment for a CLI that is to reach this daemon */
  get env(): Record<string, string> {
    return { ...this.#env };
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("the daemon does not run");
    return pid;
  }

  /** everything the daemon has logged */
  get log(): string {
    return readFileSync(this.#log, "utf8");
  }

  /** Starts it (from source, or as a bundled program) and resolves when it serves; rejects with its log if it ends instead. */
  async start(env: Record<string, string> = {}, program?: string): Promise<void> {
    const child = this.#spawn(env, program);
    const ended = once(child, "exit").then(([code, signal]) => {
      throw new Error(`nexusd ended with ${signal ?? code}:\n${this.log}`);
    });
    const healthy = eventually(
      () => this.client.call("system.health").catch((error: unknown) => ({ status: String(error) })),
      (health) => health.status === "ok",
    );
    ended.catch(() => {});
    await Promise.race([healthy, ended]);
  }

  /** Starts it where it is expected to end by itself; resolves with how it did. */
  async startUntilEnd(env: Record<string, string> = {}): Promise<{ code: number | null; signal: string | null }> {
    const [code, signal] = (await once(this.#spawn(env), "exit")) as [number | null, string | null];
    this.#child = null;
    return { code, signal };
  }

  /** As by `kill -9`. */
  async die(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** As a user does; resolves with the exit code. */
  async stop(): Promise<number | null> {
    return await this.#end("SIGTERM");
  }

  /** Resolves when it has ended by itself, for example at a failpoint. */
  async awaitEnd(): Promise<void> {
    const child = this.#child;
    if (child !== null && child.exitCode === null && child.signalCode === null) await once(child, "exit");
    this.#child = null;
    this.client.close();
  }

  /** Writes its nexus.yaml; VMs get no network where that does not ask for one. */
  async configure(config: string): Promise<void> {
    const network = config.includes("network:") ? "" : "network:\n  mode: off\n";
    await fs.writeFile(this.locations.configFile, config + network);
  }

  /** Imports the suite's root disk as `base`. */
  async importBase(): Promise<void> {
    await this.client.call("image.import", { body: { name: "base", source: testEnvironment().rootfsImage } });
  }

  /** Leaves the machine as it was; throws if something was left over that should not be. */
  async dispose(): Promise<void> {
    // a Ctrl-C reaches it, too, and one that is draining answers nothing any more
    const list = (): Promise<{ vms: Vm[] } | null> => this.client.call("vm.list").catch(() => null);
    let answer = await list();
    if (answer === null) {
      await this.stop();
      await this.start({ NEXUS_FAILPOINT: "" }).catch(() => {});
      answer = await list();
    }
    const { vms } = answer ?? { vms: [] };
    await Promise.all(
      vms
        .filter((vm) => vm.running !== null || vm.state === "starting")
        .map((vm) => this.client.call("vm.kill", { params: { vm: vm.id } }).catch(() => {})),
    );
    await this.client.call("network.reset").catch(() => {}); // where it could not, that is left over
    await this.stop();
    this.client.close();
    const left = await this.leftovers();
    await fs.rm(join(this.#env["XDG_RUNTIME_DIR"] ?? "", "."), { recursive: true, force: true }).catch(() => {});
    await this.#removeStore();
    await fs.rm(this.directory, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`left over: ${left.join(", ")}`);
  }

  /** Processes, sockets and directories of runs that are still there. */
  async leftovers(): Promise<string[]> {
    const runs = await fs.readdir(join(this.locations.runtimeDirectory, "vms")).catch(() => []);
    return [...runs.map((name) => `run directory ${name}`), ...(await this.processes())];
  }

  /** Processes whose command line names this daemon's directories: keepers, VMMs, tools. */
  async processes(): Promise<string[]> {
    const found: string[] = [];
    for (const pid of await fs.readdir("/proc")) {
      if (!/^\d+$/.test(pid) || Number(pid) === process.pid || Number(pid) === this.#child?.pid) continue;
      const line = await fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      if (line.includes(this.directory) || line.includes(this.locations.runtimeDirectory))
        found.push(`process ${pid}: ${line.replaceAll("\0", " ").slice(0, 4000)}`);
    }
    return found;
  }

  /** Images are read-only, even for root. */
  async #removeStore(): Promise<void> {
    for (const kind of ["images", "workspaces", "drives"]) {
      const parent = join(this.locations.dataDirectory, kind);
      for (const name of await fs.readdir(parent).catch(() => [])) await deleteSubvolume(join(parent, name));
    }
  }

  #spawn(env: Record<string, string>, program = join(checkout, "packages/nexusd/src/main.ts")): ChildProcess {
    const log = openSync(this.#log, "a");
    const [command, ...words] = [...this.#launch, node, program];
    this.#child = spawn(command, words, {
      env: { ...this.#env, ...env },
      stdio: ["ignore", log, log],
      cwd: "/",
    });
    closeSync(log);
    return this.#child;
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exit = once(child, "exit");
    child.kill(signal);
    const [code] = (await exit) as [number | null];
    this.#child = null;
    this.client.close();
    return code;
  }
}

/** Makes a daemon without starting it. */
export async function makeDaemon(options: DaemonOptions = {}): Promise<TestDaemon> {
  const { root, runtime, kernelDirectory, firecracker, confine } = testEnvironment();
  const directory = await fs.mkdtemp(join(root, "d"));
  const runtimeDirectory = await fs.mkdtemp(join(runtime, "wf"));
  const daemon = new TestDaemon(directory, runtimeDirectory, options);
  const { dataDirectory, configFile } = daemon.locations;
  await fs.mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  await fs.mkdir(join(configFile, ".."), { recursive: true });
  const config = options.config ?? "api:\n  listen: off\n";
  const vmm =
    firecracker === null ? "" : `vmm:\n  default: firecracker\n  firecracker: ${firecracker}\n  confine: ${confine}\n`;
  await daemon.configure(config + (config.includes("vmm:") ? "" : vmm));
  if (!options.withoutKernel) {
    await fs.mkdir(join(dataDirectory, "kernels"));
    await fs.symlink(kernelDirectory, join(dataDirectory, "kernels", "test"));
  }
  if (options.uid !== undefined)
    await runTool(["chown", "--recursive", "--no-dereference", `${options.uid}`, directory, runtimeDirectory]);
  return daemon;
}

/** Runs a test with a daemon that serves. */
export async function withDaemon(options: DaemonOptions, use: (daemon: TestDaemon) => Promise<void>): Promise<void> {
  const daemon = await makeDaemon(options);
  let failure: { error: unknown } | null = null;
  try {
    await daemon.start();
    await use(daemon);
  } catch (error) {
    failure = { error };
  }
  const log = await fs.readFile(join(daemon.directory, "log"), "utf8").catch(() => "");
  const cleaned = await daemon.dispose().then(
    () => null,
    (error: unknown) => ({ error }),
  );
  if (failure !== null) {
    const { error } = failure;
    // the message of an aborted call can only be hidden, not changed
    if (error instanceof Error)
      Object.defineProperty(error, "message", {
        value: `${error.message}\n--- log of the daemon ---\n${log.slice(-6000)}`,
      });
    throw failure.error;
  }
  if (cleaned !== null) throw cleaned.error;
}
