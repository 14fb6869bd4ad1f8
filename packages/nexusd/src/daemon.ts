import { randomBytes } from "node:crypto";
import { promises as fs } from "node:fs";
import { WorkfortError, type Status, type StorageStatus } from "@workfort/contract";
import type { Locations } from "@workfort/contract/locations";
import { GuestTerminals } from "@workfort/core";
import { makePrivateDirectory, readTextIfThere, writeAtomically } from "@workfort/host/files.ts";
import { pathsOf, requireRoomForSockets } from "@workfort/host/paths.ts";
import { checkStore } from "@workfort/host/storage/store-check.ts";
import { findKept, undoStart } from "@workfort/host/vmm/kept-vmm.ts";
import type { Logger } from "pino";
import { compose, type Parts } from "./compose.ts";
import type { Config } from "./config/schema.ts";
import { diskHandlers } from "./http/disk-handlers.ts";
import { Mcp } from "./http/mcp-routes.ts";
import { networkHandlers } from "./http/network-handlers.ts";
import { HttpFace } from "./http/server.ts";
import { systemHandlers } from "./http/system-handlers.ts";
import { tokenHandlers } from "./http/token-handlers.ts";
import { terminalHandlers } from "./http/terminal-handlers.ts";
import { forwardHandlers } from "./http/forward-handlers.ts";
import { fileHandlers } from "./http/file-handlers.ts";
import { vmHandlers } from "./http/vm-handlers.ts";
import { lockOrRefuse } from "./lock.ts";
import { version } from "./version.ts";

/**
 * The daemon's life: lock, check the store, open the records, settle what the last run left, serve.
 * It ends without touching any VM.
 */
const drainMs = 5_000;

export class Daemon {
  readonly #parts: Parts;
  readonly #http: HttpFace;
  readonly #configFile: string | null;
  readonly #startedAt = Date.now();
  readonly #notices: string[];
  #stopping = false;

  private constructor(parts: Parts, needs: { configFile: string | null; token: string; log: Logger }) {
    this.#parts = parts;
    this.#configFile = needs.configFile;
    this.#notices = [...parts.notices];
    const terminalsOf = (vm: string): GuestTerminals => new GuestTerminals(parts.supervisor.guest(parts.vms.find(vm)));
    const handlers = {
      ...systemHandlers({
        version,
        health: () => ({ status: this.#stopping ? ("stopping" as const) : ("ok" as const), version }),
        status: () => this.#status(),
        storage: () => this.#storageStatus(),
        metrics: () => this.#metrics(),
        events: parts.events,
      }),
      ...vmHandlers(parts),
      ...terminalHandlers(terminalsOf),
      ...fileHandlers(parts),
      ...diskHandlers(parts),
      ...forwardHandlers({ ...parts, previewOf: (vm, port) => this.#http.previewOf(vm, port) }),
      ...networkHandlers(parts),
      ...tokenHandlers(parts.tokens),
    };
    const { tokens, vms, forwards } = parts;
    this.#http = new HttpFace({
      handlers,
      terminalsOf,
      mcp: new Mcp(async () => {
        const { McpEndpoint } = await import("./mcp/endpoint.ts");
        return new McpEndpoint({ handlers, tokens, defaults: parts.vmDefaults, log: needs.log });
      }),
      vms,
      forwards,
      tokens,
      socket: parts.paths.socket,
      ownersToken: needs.token,
      log: needs.log,
    });
  }

  /** Resolves when the daemon serves. */
  static async start(config: Config, configFile: string | null, locations: Locations, log: Logger): Promise<Daemon> {
    const paths = pathsOf(locations);
    lockOrRefuse([paths.lockFile]);
    requireRoomForSockets(paths);
    await makePrivateDirectory(locations.runtimeDirectory);
    await checkStore(paths, locations.dataDirectory);
    lockOrRefuse([paths.dataLockFile]);
    const parts = compose(config, locations, log);
    await parts.storage.prepare();
    const daemon = new Daemon(parts, { configFile, token: await readOrMakeToken(paths.tokenFile), log });
    try {
      await parts.journal.recover();
      await parts.supervisor.recover();
      parts.restarts.noteHostBoot(parts.host.bootId);
      parts.restarts.recover();
      await daemon.#sweepRuns();
      await parts.forwards.recover();
      await daemon.#http.listen(config.api.listen ?? null);
      parts.events.publish({ type: "daemon.ready", version, pid: process.pid });
    } catch (error) {
      daemon.#letGo();
      throw error;
    }
    for (const notice of daemon.#notices) log.warn({}, notice);
    log.info(
      { version, pid: process.pid, socket: paths.socket, tcp: daemon.#http.tcp, data: locations.dataDirectory },
      "nexusd serves",
    );
    // found out now, so that the first start does not wait for it
    void parts.vmms.choose("auto").then(
      ({ status }) => log.info({ vmm: status.kind, accelerator: status.accelerator }, status.reason),
      (error: unknown) => log.warn({}, error instanceof Error ? error.message : String(error)),
    );
    return daemon;
  }

  /** Answers what was asked, then lets go; every VM runs on. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#parts.events.publish({ type: "daemon.stopping" });
    this.#parts.events.close(); // who watches would hold the end up
    this.#parts.interfaces.endFollowing();
    await Promise.all([this.#http.close(drainMs), this.#parts.forwards.close()]);
    this.#letGo();
  }

  /** Without this the lines to VMs would keep the process alive. */
  #letGo(): void {
    this.#parts.restarts.close();
    this.#parts.supervisor.detach();
    void this.#parts.interfaces.close();
    this.#parts.store.close();
  }

  async #status(): Promise<Status> {
    const parts = this.#parts;
    const vms = parts.store.listVms();
    return {
      version,
      pid: process.pid,
      startedAt: this.#startedAt,
      socket: parts.paths.socket,
      tcp: this.#http.tcp,
      vmm: await parts.vmms.status("auto"),
      kernel: (await parts.kernels.versions()).at(-1) ?? null,
      vmCount: vms.length,
      runningCount: vms.filter((vm) => vm.state === "running").length,
      memory: {
        totalMiB: parts.host.totalMemoryMiB,
        limitMiB: parts.memoryLimitMiB,
        committedMiB: parts.supervisor.committedMiB,
      },
      storage: await this.#storageStatus(),
      network: await parts.interfaces.status(),
      database: parts.paths.database,
      config: this.#configFile,
      notices: this.#notices,
    };
  }

  async #metrics(): Promise<string> {
    const { store, supervisor, memoryLimitMiB, metrics } = this.#parts;
    const { prometheusText } = await import("./prometheus.ts"); // only who is asked for metrics needs its library
    return await prometheusText({
      version,
      states: store.listVms().map(({ state }) => state),
      memory: { limitMiB: memoryLimitMiB, committedMiB: supervisor.committedMiB },
      vms: await metrics.ofAll(),
    });
  }

  async #storageStatus(): Promise<StorageStatus> {
    const { store, storage } = this.#parts;
    const [space, imageIds, workspaceIds, driveIds] = await Promise.all([
      storage.space(),
      storage.list("images"),
      storage.list("workspaces"),
      storage.list("drives"),
    ]);
    const images = store.listImages();
    const workspaces = store.listWorkspaces();
    const drives = store.listDrives();
    const known = new Set([...images, ...workspaces, ...drives].map((record) => record.id));
    return {
      ...space,
      imageCount: images.length,
      workspaceCount: workspaces.length,
      driveCount: drives.length,
      unknown: [...imageIds, ...workspaceIds, ...driveIds].filter((id) => !known.has(id)),
    };
  }

  /** Run directories that no VM of ours has: dead ones go, a living VMM is reported and left alone. */
  async #sweepRuns(): Promise<void> {
    const { paths, supervisor } = this.#parts;
    await fs.mkdir(paths.runs, { recursive: true, mode: 0o700 });
    const ours = new Set(
      this.#parts.store
        .listVms()
        .filter((vm) => supervisor.liveRun(vm.id) !== null)
        .map((vm) => paths.run(vm.id)),
    );
    for (const name of await fs.readdir(paths.runs)) {
      const directory = `${paths.runs}/${name}`;
      if (ours.has(directory)) continue;
      const found = await findKept(directory).catch(() => null);
      if (found === null) continue;
      const { keeper, status } = found;
      if (status.state === "ended") {
        await undoStart(keeper, directory);
        continue;
      }
      this.#notices.push(
        `A VMM that no record knows runs in ${directory} (pid ${status.vmmPid}); it was left alone. To end it: kill ${status.vmmPid}`,
      );
    }
  }
}

async function readOrMakeToken(path: string): Promise<string> {
  const text = (await readTextIfThere(path))?.trim();
  if (text !== undefined && /^[0-9a-f]{64}$/.test(text)) return text;
  if (text !== undefined && text !== "")
    throw new WorkfortError("storage_unavailable", `${path} does not hold a token`, {
      hint: `delete it; a new one is made`,
    });
  const token = randomBytes(32).toString("hex");
  await writeAtomically(path, `${token}\n`);
  return token;
}
