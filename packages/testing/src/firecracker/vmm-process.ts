import { dirname } from "node:path";
import { statusName, type Answer } from "./answer.ts";
import { runCall, type Call } from "./calls.ts";
import type { LoggerConfig } from "./bodies.ts";
import { describeVm } from "./description.ts";
import type { Faults } from "./faults.ts";
import type { Flags } from "./flags.ts";
import type { Guest } from "./guest.ts";
import { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Fatal, Malformed, Refusal, systemWords } from "./refusal.ts";
import type { Request } from "./request-parser.ts";
import { route, type Surroundings } from "./routes.ts";
import { Vm } from "./vm.ts";

/** The process around a VM: its log, its metrics, its answers, and its end. */
const metricsPeriodMs = 60_000;

/** with what our agent is told to write the byte that the boot timer waits for */
const writesBootTimer = /\bworkfort\.boot-timer=/;

/** what takes a while, as the log names it, and as the metrics do */
const timed: Record<string, string> = {
  "create full snapshot": "full_create_snapshot",
  "create diff snapshot": "diff_create_snapshot",
  "load snapshot": "load_snapshot",
  "pause vm": "pause_vm",
  "resume vm": "resume_vm",
};

export class VmmProcess implements Surroundings {
  readonly log: Log;
  readonly vm: Vm;
  readonly version: string;
  readonly #metrics = new Metrics();
  /** of the disks' counters, what lines have told already */
  readonly #seen = new Map<string, number>();
  readonly #faults: Faults;
  readonly #flags: Flags;

  constructor(flags: Flags, faults: Faults) {
    this.log = new Log(flags.id);
    this.version = faults.version;
    this.#faults = faults;
    this.#flags = flags;
    this.vm = new Vm({
      id: flags.id,
      mmdsBytes: flags.mmdsBytes ?? flags.maxPayloadBytes,
      directory: dirname(flags.apiSock),
      faults,
      onGuest: (guest) => this.#watch(guest),
    });
  }

  describe(state: string): string {
    return JSON.stringify({ id: this.#flags.id, state, vmm_version: this.version, app_name: "Firecracker" });
  }

  describeConfig(): string {
    this.log.info(
      "main",
      "If the VM was restored from snapshot, boot-source, machine-config.smt, and machine-config.cpu_template will all be empty.",
    );
    return describeVm(this.vm);
  }

  configureLog(config: LoggerConfig): void {
    try {
      this.log.configure(config);
    } catch (error) {
      throw new Refusal(`Logger error: Failed to open target file: ${systemWords(error)}`);
    }
  }

  openMetrics(path: string): void {
    const refuse = (why: string): Refusal =>
      new Refusal(`Metrics error: Cannot initialize the metrics system due to bad user input: ${why}`);
    let opened: boolean;
    try {
      opened = this.#metrics.open(path);
    } catch (error) {
      throw refuse(systemWords(error));
    }
    if (!opened) throw refuse("Reinitialization of metrics not allowed.");
  }

  /** A line with what the disks have done since the last one, as QEMU counts it. */
  async flushAll(): Promise<void> {
    const counts = await this.vm.diskCounts();
    for (const [disk, values] of Object.entries(counts))
      for (const [name, value] of Object.entries(values)) {
        const key = `block_${disk}.${name}`;
        this.#metrics.count(`block_${disk}`, name, value - (this.#seen.get(key) ?? 0));
        this.#seen.set(key, value);
      }
    this.flushMetrics();
  }

  flushMetrics(): void {
    this.#metrics.count("logger", "missed_log_count", this.log.missed);
    this.log.missed = 0;
    this.#metrics.flush([
      ...this.vm.drives.all.map((drive) => `block_${drive.drive_id}`),
      ...this.vm.interfaces.all.map((one) => `net_${one.iface_id}`),
    ]);
  }

  async startVm(): Promise<void> {
    const begun = performance.now();
    await this.vm.start(() => {
      if (!this.#flags.bootTimer || !writesBootTimer.test(this.vm.boot?.boot_args ?? "")) return;
      const ms = Math.round(performance.now() - begun);
      const us = String(ms * 1000).padStart(6);
      this.log.info("fc_vcpu 0", `Guest-boot-time = ${us} us ${ms} ms, ${us} CPU us ${ms} CPU ms`);
    });
    this.#vmResumed();
  }

  async setPaused(paused: boolean): Promise<void> {
    await this.vm.setPaused(paused);
    if (!paused) this.#vmResumed();
  }

  /** What 1.15.1 says of it in the lab, the second not each time. */
  #vmResumed(): void {
    this.log.info("main", "Artificially kick devices");
    this.log.warn(
      "fc_vcpu 0",
      "Received a VcpuEvent::Resume message with immediate_exit enabled. immediate_exit was disabled before proceeding",
    );
  }

  #watch(guest: Guest): void {
    // the real one has no such line
    if (this.vm.lineDescription !== null) this.log.info("main", `Double: vsock is ${this.vm.lineDescription}.`);
    this.flushMetrics();
    setInterval(() => this.vm.state === "Running" && void this.flushAll(), metricsPeriodMs).unref();
    void guest.ended().then((reason) => this.#guestEnded(reason));
  }

  /** Answers one request; what is to come after the answer has been sent comes with it. */
  async answer(request: Request): Promise<{ answer: Answer; afterwards?: () => void }> {
    const { method, path, body } = request;
    const verb = method.charAt(0) + method.slice(1).toLowerCase();
    const shown = body === null || path === "/mmds" ? "" : ` with body ${JSON.stringify(body.toString("utf8"))}`;
    this.log.info("fc_api", `The API server received a ${verb} request on "${path}"${shown}.`);
    try {
      return await this.#run(request, route(request, this));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.log.error("fc_api", error.logged);
      return { answer: refusalAnswer(error, false) };
    }
  }

  /** Ends as Firecracker does by itself: with a line of metrics and one of log. */
  exit(code: number, why?: { log: string; error: string }): never {
    if (why !== undefined) this.log.error("main", why.log);
    this.flushMetrics();
    if (code === 0) this.log.info("main", "Firecracker exiting successfully. exit_code=0");
    else this.log.error("main", `Firecracker exiting with error. exit_code=${code}`);
    if (why !== undefined) console.error(`Error: ${why.error}`);
    process.exit(code);
  }

  /** As Rust's panics end a process. */
  panic(message: string): never {
    this.log.error("main", `Firecracker panicked at firecracker-double:\n${message}`);
    process.kill(process.pid, "SIGABRT");
    process.exit(134);
  }

  async #run(request: Request, call: Call): Promise<{ answer: Answer; afterwards?: () => void }> {
    const isDeprecated = call.deprecated !== undefined;
    let answer: Answer;
    let afterwards: (() => void) | undefined;
    const begun = performance.now();
    try {
      const body = await runCall(this.vm, call);
      const us = Math.round((performance.now() - begun) * 1000);
      if (call.timed !== undefined) this.#tellTime("main", "VMM action", call.timed, us);
      answer = { status: body === null ? 204 : 200, body, deprecated: isDeprecated };
      this.log.info("fc_api", `The request was executed successfully. Status code: ${statusName(answer.status)}.`);
      if (call.timed !== undefined) this.#tellTime("fc_api", "API request", call.timed, us);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answer = refusalAnswer(error, isDeprecated);
      this.log.error("fc_api", `Received Error. Status code: ${statusName(error.status)}. Message: ${error.message}`);
      if (error instanceof Fatal) afterwards = () => this.#failed();
    }
    this.#metrics.countRequest(request.method, request.path, answer.status >= 400);
    if (call.deprecated !== undefined) {
      this.log.warn("fc_api", call.deprecated);
      this.#metrics.count("deprecated_api", "deprecated_http_api_calls");
    }
    return { answer, ...(afterwards === undefined ? {} : { afterwards }) };
  }

  #tellTime(thread: "main" | "fc_api", what: string, action: string, us: number): void {
    this.#metrics.set("latencies_us", `${thread === "main" ? "vmm_" : ""}${timed[action]}`, us);
    // of a load it is told in its debugging output alone
    if (thread === "fc_api" || action !== "load snapshot") this.log.info(thread, `'${action}' ${what} took ${us} us.`);
  }

  #failed(): never {
    return this.exit(1, {
      log: "RunWithApiError error: Failed to build MicroVM: Loading snapshot failed..",
      error: "RunWithApi(BuildMicroVmError(Restore))",
    });
  }

  /** A reset ends the process, a power-off does not: on x86 the processors stand still then, and that is all. */
  #guestEnded(reason: string | null): void {
    if (this.#faults.poweroffStays || reason === "guest-shutdown") return;
    this.log.info("main", "Vmm is stopping.");
    this.log.info("main", "Killing vCPU threads");
    this.exit(reason === "guest-reset" ? 0 : 1);
  }
}

function refusalAnswer(error: Refusal, deprecated: boolean): Answer {
  return { status: error.status, body: JSON.stringify({ fault_message: error.message }), deprecated };
}
