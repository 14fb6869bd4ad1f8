import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { GuestSession } from "@workfort/host/guest/session.ts";
import { runPaths } from "@workfort/host/paths.ts";
import { settingsOf } from "@workfort/host/vmm/firecracker/configuration.ts";
import { hostPlaces } from "@workfort/host/vmm/firecracker/places.ts";
import { openVsock } from "@workfort/host/vmm/firecracker/vsock.ts";
import type { VmSpec } from "@workfort/core";
import { makeBareSpec, removeBareSpec } from "./bare-spec.ts";

/** whose settings are sent */
const version = "1.15.1";

/** A Firecracker by hand: what the daemon tells it, and nobody in between. */
export class BareFirecracker {
  readonly #program: string;
  readonly #spec: VmSpec;
  #child: ChildProcess | null = null;

  private constructor(program: string, spec: VmSpec) {
    this.#program = program;
    this.#spec = spec;
  }

  /** Everything but the start. */
  static async prepare(program: string, memoryMiB: number): Promise<BareFirecracker> {
    const spec = await makeBareSpec(memoryMiB);
    await fs.writeFile(runPaths(spec.directory).metrics, "");
    return new BareFirecracker(program, spec);
  }

  /** Starts it by its API, over one connection; resolves when it has accepted the guest's start. */
  async startByApi(): Promise<void> {
    const { api } = runPaths(this.#spec.directory);
    this.#spawn(["--api-sock", api, "--id", "bare", "--level", "Warning", "--boot-timer"]);
    while (!(await canConnect(api))) await delay(2);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await send(agent, api, "GET", "/version");
    for (const { path, body } of settingsOf(this.#spec, hostPlaces(this.#spec), version))
      await send(agent, api, "PUT", path, body);
    await send(agent, api, "PUT", "/actions", { action_type: "InstanceStart" });
    agent.destroy();
  }

  /**
   * Starts it by a configuration file; resolves when the agent answers. It has its API as the daemon's has: in the lab
   * a guest takes 0.3 s longer to boot beside Firecracker's thread for it.
   */
  async startByFile(boundMs: number): Promise<void> {
    const file = join(this.#spec.directory, "config.json");
    await fs.writeFile(file, JSON.stringify(fileOf(this.#spec)));
    const { api, vsock } = runPaths(this.#spec.directory);
    this.#spawn(["--api-sock", api, "--id", "bare", "--level", "Warning", "--config-file", file, "--boot-timer"]);
    while (!(await canConnect(vsock))) await delay(2);
    const session = new GuestSession(await openVsock(vsock, AbortSignal.timeout(boundMs)));
    (await session.request({ method: "GET", path: "/v1/agent" })).body.destroy();
    session.destroy();
  }

  async end(): Promise<void> {
    if (this.#child !== null) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await ended;
    }
    await removeBareSpec(this.#spec);
  }

  #spawn(argv: readonly string[]): void {
    this.#child = spawn(this.#program, argv, { stdio: "ignore" });
  }
}

/** What the requests would say, as one file. */
function fileOf(spec: VmSpec): Record<string, unknown> {
  const settings = settingsOf(spec, hostPlaces(spec), version);
  const bodyOf = (path: string): unknown => settings.find((setting) => setting.path === path)?.body;
  return {
    "machine-config": bodyOf("/machine-config"),
    "boot-source": bodyOf("/boot-source"),
    drives: settings.filter(({ path }) => path.startsWith("/drives/")).map(({ body }) => body),
    vsock: bodyOf("/vsock"),
    entropy: bodyOf("/entropy"),
    balloon: bodyOf("/balloon"),
  };
}

async function canConnect(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  return await promise.finally(() => socket.destroy());
}

async function send(agent: Agent, socketPath: string, method: string, path: string, body?: unknown): Promise<void> {
  const json = body === undefined ? "" : JSON.stringify(body);
  const headers = { "content-length": Buffer.byteLength(json) };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  request({ agent, socketPath, method, path, headers }, (answer) => {
    answer.resume().once("end", () => {
      if ((answer.statusCode ?? 0) < 300) resolve();
      else reject(new Error(`${method} ${path} was answered with ${answer.statusCode}`));
    });
  })
    .once("error", reject)
    .end(json);
  await promise;
}
