import { existsSync } from "node:fs";
import * as z from "zod";
import type { ApiAnswer, ApiRequest } from "./http.ts";

/** What a Firecracker knows of its VM before and after the boot: phases, checks and texts as it has them. */
export type MachineState = "Not started" | "Running" | "Paused";

const TokenBucket = z.object({ size: z.int(), refill_time: z.int(), one_time_burst: z.int().nullish() });
const RateLimiter = z.strictObject({ bandwidth: TokenBucket.nullish(), ops: TokenBucket.nullish() });
const MachineConfig = z.strictObject({
  vcpu_count: z.int(),
  mem_size_mib: z.int(),
  smt: z.boolean().optional(),
  track_dirty_pages: z.boolean().optional(),
});
const BootSource = z.strictObject({
  kernel_image_path: z.string(),
  initrd_path: z.string().optional(),
  boot_args: z.string().optional(),
});
const Drive = z.strictObject({
  drive_id: z.string(),
  path_on_host: z.string(),
  is_root_device: z.boolean(),
  is_read_only: z.boolean().optional(),
  cache_type: z.enum(["Unsafe", "Writeback"]).optional(),
  io_engine: z.enum(["Sync", "Async"]).optional(),
  rate_limiter: RateLimiter.optional(),
});
const Vsock = z.strictObject({ guest_cid: z.int(), uds_path: z.string(), vsock_id: z.string().optional() });
const Balloon = z.strictObject({
  amount_mib: z.int(),
  deflate_on_oom: z.boolean(),
  stats_polling_interval_s: z.int().optional(),
  free_page_hinting: z.boolean().optional(),
  free_page_reporting: z.boolean().optional(),
});
const Entropy = z.strictObject({ rate_limiter: RateLimiter.optional() });

/** the part of a configuration file that a driver writes */
export const ConfigFile = z.object({
  "machine-config": MachineConfig.optional(),
  "boot-source": BootSource,
  drives: z.array(Drive),
});

export interface Actions {
  /** Binds the host's end of the vsock; throws where the path is taken. */
  bindVsock(path: string): void;
  start(machine: Machine): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
}

class Refused extends Error {}

export class Machine {
  state: MachineState = "Not started";
  config: z.infer<typeof MachineConfig> = { vcpu_count: 1, mem_size_mib: 128 };
  boot: z.infer<typeof BootSource> | null = null;
  readonly drives = new Map<string, z.infer<typeof Drive>>();
  hasEntropy = false;
  readonly #about: { id: string; version: string };
  readonly #actions: Actions;

  constructor(about: { id: string; version: string }, actions: Actions) {
    this.#about = about;
    this.#actions = actions;
  }

  async handle({ method, path, body }: ApiRequest): Promise<ApiAnswer> {
    try {
      const result = await this.#route(method, path, body);
      return result === undefined ? { status: 204 } : { status: 200, body: JSON.stringify(result) };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return { status: 400, body: JSON.stringify({ fault_message: error.message }) };
    }
  }

  setBootSource(source: z.infer<typeof BootSource>): void {
    if (!existsSync(source.kernel_image_path))
      throw new Refused("Boot source error: The kernel file cannot be opened: No such file or directory (os error 2)");
    this.boot = source;
  }

  async #route(method: string, path: string, body: string): Promise<unknown> {
    const [first = "", second = ""] = path.split("/").filter((part) => part !== "");
    if (method === "GET" && body !== "") throw new Refused("GET request cannot have a body.");
    if (method === "PUT" && body === "") throw new Refused("Empty PUT request.");
    if (method === "PATCH" && body === "") throw new Refused("Empty PATCH request.");
    switch (`${method} /${first}`) {
      case "GET /":
        return {
          id: this.#about.id,
          state: this.state,
          vmm_version: this.#about.version,
          app_name: "Firecracker",
        };
      case "GET /version":
        return { firecracker_version: this.#about.version };
      case "PUT /machine-config":
        return this.#putMachineConfig(this.#before(parse(MachineConfig, body)));
      case "PUT /boot-source":
        return this.setBootSource(this.#before(parse(BootSource, body)));
      case "PUT /drives":
        return this.#putDrive(second, this.#before(parse(Drive, body)));
      case "PUT /vsock":
        return this.#putVsock(this.#before(parse(Vsock, body)));
      case "PUT /entropy":
        this.#before(parse(Entropy, body));
        this.hasEntropy = true;
        return undefined;
      case "PUT /balloon":
        this.#before(parse(Balloon, body));
        return undefined;
      case "PUT /actions":
        return await this.#act(parse(z.strictObject({ action_type: z.string() }), body).action_type);
      case "PATCH /vm":
        return await this.#switch(parse(z.strictObject({ state: z.enum(["Paused", "Resumed"]) }), body).state);
      default:
        throw new Refused(`Invalid request method and/or path: ${method} ${first}.`);
    }
  }

  #before<T>(value: T): T {
    if (this.state !== "Not started")
      throw new Refused("The requested operation is not supported after starting the microVM.");
    return value;
  }

  #putMachineConfig(config: z.infer<typeof MachineConfig>): undefined {
    if (config.vcpu_count < 1 || config.vcpu_count > 32)
      throw new Refused(
        "Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled.",
      );
    if (config.mem_size_mib < 1)
      throw new Refused(
        "Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size.",
      );
    this.config = config;
  }

  #putDrive(id: string, drive: z.infer<typeof Drive>): undefined {
    if (!/^[A-Za-z0-9_]+$/.test(id))
      throw new Refused("API Resource IDs can only contain alphanumeric characters and underscores.");
    if (id !== drive.drive_id) throw new Refused("The id from the path does not match the id from the body!");
    if (!existsSync(drive.path_on_host))
      throw new Refused(
        `Drive config error: Unable to create the virtio block device: Virtio backend error: Error manipulating the backing file: No such file or directory (os error 2) ${drive.path_on_host}`,
      );
    this.drives.set(id, drive);
  }

  #putVsock(vsock: z.infer<typeof Vsock>): undefined {
    if (existsSync(vsock.uds_path))
      throw new Refused(
        "Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: Address in use (os error 98)",
      );
    this.#actions.bindVsock(vsock.uds_path);
  }

  async #act(action: string): Promise<undefined> {
    if (action !== "InstanceStart") throw new Refused(`This double does not know the action ${action}.`);
    this.#before(action);
    if (this.boot === null)
      throw new Refused("Start microvm error: Cannot start microvm without kernel configuration.");
    await this.#actions.start(this);
    this.state = "Running";
  }

  async #switch(to: "Paused" | "Resumed"): Promise<undefined> {
    if (this.state === "Not started")
      throw new Refused("The requested operation is not supported before starting the microVM.");
    if (to === "Paused") await this.#actions.pause();
    else await this.#actions.resume();
    this.state = to === "Paused" ? "Paused" : "Running";
  }
}

function parse<T>(schema: z.ZodType<T>, body: string): T {
  const refuse = (why: string): Refused =>
    new Refused(`An error occurred when deserializing the json body of a request: ${why}.`);
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw refuse(parsed.error.issues[0]?.message ?? "");
  return parsed.data;
}
