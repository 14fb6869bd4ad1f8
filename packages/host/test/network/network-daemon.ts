import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { openPolicy, WorkfortError, type ErrorCode, type NetworkMode } from "@workfort/contract";
import type { GuestNetwork, Network } from "@workfort/core";
import { checkout, eventually, nativePrograms, node } from "@workfort/testing";
import { runTool } from "../../src/process/run.ts";
import { TestNamespace } from "./test-namespace.ts";

const program = fileURLToPath(new URL("fixtures/daemon.ts", import.meta.url));

type Calls = { [Name in Exclude<keyof Network, "mode">]: Awaited<ReturnType<Network[Name]>> };

/** A daemon's network in a "host" of the test's own; killed and started at will, and gone with the test. */
export class NetworkDaemon {
  readonly host: TestNamespace;
  readonly directory: string;
  /** its user sees `/dev/net/tun` as ordinary hosts have it, and what the test installs for it */
  readonly #words: readonly string[];
  readonly #mode: NetworkMode;
  #child: ChildProcess | null = null;
  #number = 0;
  #waiting = new Map<number, (answer: { result?: unknown; error?: { code: ErrorCode; message: string } }) => void>();
  log = "";

  private constructor(host: TestNamespace, directory: string, words: readonly string[], mode: NetworkMode) {
    this.host = host;
    this.directory = directory;
    this.#words = words;
    this.#mode = mode;
  }

  /** `words` come before the program, in the host's namespace. */
  static async make(
    t: TestContext,
    host: TestNamespace,
    options: { mode?: NetworkMode; words?: readonly string[]; uid?: number } = {},
  ): Promise<NetworkDaemon> {
    const directory = await fs.mkdtemp(join(tmpdir(), "nd"));
    if (options.uid !== undefined) await fs.chown(directory, options.uid, options.uid);
    const daemon = new NetworkDaemon(host, directory, options.words ?? [], options.mode ?? "auto");
    t.after(async () => {
      daemon.start();
      await daemon.call("reset").catch(() => {});
      await daemon.stop();
      await fs.rm(directory, { recursive: true, force: true });
    });
    return daemon;
  }

  get runtimeDirectory(): string {
    return join(this.directory, "run");
  }

  start(): void {
    if (this.#child !== null) return;
    const settings = {
      runtimeDirectory: this.runtimeDirectory,
      stateDirectory: join(this.directory, "state"),
      mode: this.#mode,
      dns: ["198.51.100.1"],
      programs: {
        keeper: join(nativePrograms, "keeper"),
        networkHelper: join(nativePrograms, "network-helper"),
        gateway: [node, join(checkout, "packages/gateway/src/main.ts")],
      },
    };
    const [enter, ...entered] = this.host.enter;
    const words = [...entered, ...this.#words, node, program, JSON.stringify(settings)];
    const child = spawn(enter, words, { stdio: ["pipe", "pipe", "pipe"], cwd: "/" });
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { id, ...answer } = JSON.parse(line) as { id: number };
      this.#waiting.get(id)?.(answer);
    });
    child.stderr.on("data", (chunk: Buffer) => (this.log += chunk.toString("utf8")));
    child.stdin.on("error", () => {});
  }

  async call<Name extends keyof Calls>(name: Name, ...args: unknown[]): Promise<Calls[Name]> {
    this.start();
    const child = this.#child;
    const id = (this.#number += 1);
    const { promise, resolve, reject } = Promise.withResolvers<{
      result?: unknown;
      error?: { code: ErrorCode; message: string; hint?: string };
    }>();
    this.#waiting.set(id, resolve);
    const ended = (): void => reject(new Error(`the daemon ended:\n${this.log}`));
    child?.once("exit", ended);
    child?.stdin?.write(`${JSON.stringify({ id, call: name, args })}\n`);
    try {
      const { result, error } = await promise;
      if (error !== undefined) throw new WorkfortError(error.code, error.message, { hint: error.hint });
      return result as Calls[Name];
    } finally {
      this.#waiting.delete(id);
      child?.off("exit", ended);
    }
  }

  /** As by `kill -9`. */
  async die(): Promise<void> {
    await this.#end(() => this.#child?.kill("SIGKILL"));
  }

  /** In order, as a daemon that is told to stop. */
  async stop(): Promise<void> {
    await this.#end(() => this.#child?.stdin?.end());
  }

  async #end(how: () => void): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const exit = once(child, "exit");
    how();
    if (child.exitCode === null && child.signalCode === null) await exit;
    this.#child = null;
  }

  /** pid of a process that it keeps, by its directory; null where none runs */
  async pidOf(name: "holder" | "uplink" | "gateway"): Promise<number | null> {
    const found = await this.processes();
    const keeper = found.find(({ line }) => line.includes(`${this.runtimeDirectory}/network/${name}/keeper`));
    if (keeper === undefined) return null;
    const { stdout } = await runTool(["pgrep", "-P", String(keeper.pid)], { okCodes: [0, 1] });
    return stdout === "" ? null : Number(stdout.split("\n")[0]);
  }

  /** number of the workplace's namespace */
  async namespace(): Promise<string> {
    return await fs.readlink(`/proc/${await this.pidOf("holder")}/ns/net`);
  }

  /** Runs a program in the workplace's namespace; its standard output. */
  async inside(argv: readonly string[], options: Parameters<typeof runTool>[1] = {}): Promise<string> {
    const pid = await this.pidOf("gateway");
    const { stdout } = await runTool(["nsenter", `--net=/proc/${pid}/ns/net`, "--", ...argv], {
      timeoutMs: 30_000,
      ...options,
    });
    return stdout;
  }

  /** Everything that runs of it, but for itself. */
  async processes(): Promise<{ pid: number; line: string }[]> {
    const found: { pid: number; line: string }[] = [];
    for (const name of await fs.readdir("/proc")) {
      if (!/^\d+$/.test(name) || Number(name) === this.#child?.pid) continue;
      const line = (await fs.readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ");
      if (line.includes(this.directory) && !line.includes("fixtures/daemon.ts"))
        found.push({ pid: Number(name), line });
    }
    return found;
  }
}

/** A "host" with a way out: an "internet" behind it, which says `hello` on port 8080 of 198.51.100.1 and 2001:db8::1. */
export async function makeHost(t: TestContext): Promise<{ host: TestNamespace; internet: TestNamespace }> {
  const [host, internet] = [await TestNamespace.make(t), await TestNamespace.make(t)];
  await host.run(["ip", "link", "add", "wan", "type", "veth", "peer", "name", "lan", "netns", String(internet.pid)]);
  const address = async (at: TestNamespace, device: string, number: number): Promise<void> => {
    await at.run(["ip", "address", "add", `198.51.100.${number}/24`, "dev", device]);
    await at.run(["ip", "address", "add", `2001:db8::${number}/64`, "dev", device, "nodad"]);
    // its link-local address, which pasta needs, is not tentative at first
    await at.run(["sh", "-c", `echo 0 > /proc/sys/net/ipv6/conf/${device}/accept_dad`]);
    await at.run(["ip", "link", "set", device, "up"]);
  };
  await address(internet, "lan", 1);
  await address(host, "wan", 2);
  await host.run(["ip", "route", "add", "default", "via", "198.51.100.1"]);
  await host.run(["ip", "-6", "route", "add", "default", "via", "2001:db8::1"]);
  // the kernel still adds to a table of routes when the carrier has come
  await eventually(
    () => host.run(["ip", "-6", "route", "show", "table", "all"]),
    (routes) =>
      /multicast ff00::\/8 dev wan/.test(routes) && /local fe80::\S+ dev wan/.test(routes) && !/linkdown/.test(routes),
  );
  for (const at of [host, internet]) await serve(t, at);
  return { host, internet };
}

const server = `require("net").createServer((socket) => socket.on("error", () => {}).end("hello " + socket.remoteAddress))
  .listen(8080, "::", () => console.log("ready"))`;

async function serve(t: TestContext, at: TestNamespace): Promise<void> {
  const [first, ...rest] = [...at.enter, node, "-e", server] as [string, ...string[]];
  const child = spawn(first, rest, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  await once(child.stdout, "data");
}

/** What a program with a connection there is told; empty where there is none. */
export async function hello(daemon: NetworkDaemon, address: string): Promise<string> {
  const argv = ["timeout", "2", "bash", "-c", `cat < /dev/tcp/${address}/8080`];
  return (await daemon.inside(argv, { okCodes: [0, 1, 124, 143] })).trim();
}

export function guest(number: number): GuestNetwork {
  const name = `guest${number}`;
  const vmId = `vm_abcdefghij${String.fromCodePoint(97 + number)}2`;
  return { vmId, vmName: name, number, policy: openPolicy };
}
