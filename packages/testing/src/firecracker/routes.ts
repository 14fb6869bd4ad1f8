import {
  balloonHinting,
  balloonStatistics,
  changeBalloon,
  changeBalloonStatistics,
  describeBalloon,
} from "./balloon.ts";
import * as bodies from "./bodies.ts";
import type { Call } from "./calls.ts";
import { changeDrive } from "./drive-changes.ts";
import { shownMachineConfig, usualMachineConfig } from "./machine-config.ts";
import { Malformed, Refusal } from "./refusal.ts";
import type { Method, Request } from "./request-parser.ts";
import { anything, readBody } from "./shapes.ts";
import { createSnapshot, loadSnapshot } from "./snapshots.ts";

/** The process around the VM, as far as requests reach it. */
export interface Surroundings {
  describe(state: string): string;
  describeConfig(): string;
  version: string;
  configureLog(config: bodies.LoggerConfig): void;
  openMetrics(path: string): void;
  flushAll(): Promise<void>;
  startVm(): Promise<void>;
  setPaused(paused: boolean): Promise<void>;
}

/** Reads a request of one method; tokens are what follows the first word of its path. */
type Route = (body: Buffer, tokens: readonly string[], around: Surroundings) => Call;

/** first word of the path → method → what is asked */
const routes: Record<string, Partial<Record<Method, Route>>> = {
  "": { GET: (_body, _tokens, around) => ({ phase: "any", run: (vm) => around.describe(vm.state) }) },
  version: {
    GET: (_body, _tokens, around) => ({
      phase: "any",
      run: () => JSON.stringify({ firecracker_version: around.version }),
    }),
  },
  vm: {
    GET: (_body, [what], around) => {
      if (what !== "config") throw unknownPath("GET", "vm");
      return { phase: "any", run: () => around.describeConfig() };
    },
    PATCH: (body, _tokens, around) => {
      const { state } = readBody(body, bodies.vmState);
      const paused = state === "Paused";
      return { phase: "after", timed: paused ? "pause vm" : "resume vm", run: () => around.setPaused(paused) };
    },
  },
  "machine-config": {
    GET: () => ({ phase: "any", run: (vm) => JSON.stringify(shownMachineConfig(vm.machine)) }),
    PUT: (body) => {
      const config = readBody(body, bodies.machineConfig);
      return {
        phase: "before",
        isOfBoot: true,
        ...templateIsDeprecated("PUT", config.cpu_template),
        // what is left out is as usual again, but for the template
        run: (vm) => vm.changeMachine(config, { ...usualMachineConfig, cpu_template: vm.machine.cpu_template }),
      };
    },
    PATCH: (body) => {
      const change = readBody(body, bodies.machineConfigUpdate);
      if (Object.values(change).every((value) => value === null)) throw new Malformed("Empty PATCH request.");
      return {
        phase: "before",
        isOfBoot: true,
        ...templateIsDeprecated("PATCH", change.cpu_template),
        run: (vm) => vm.changeMachine(change),
      };
    },
  },
  "boot-source": {
    PUT: (body) => {
      const source = readBody(body, bodies.bootSource);
      return { phase: "before", isOfBoot: true, run: (vm) => vm.setBoot(source) };
    },
  },
  drives: {
    PUT: (body, [id]) => {
      const drive = readNamed(id, () => readBody(body, bodies.drive));
      matchIds(id, drive.drive_id);
      return { phase: "before", isOfBoot: true, run: (vm) => vm.drives.put(drive) };
    },
    PATCH: (body, [id]) => {
      const change = readNamed(id, () => readBody(body, bodies.driveUpdate));
      matchIds(id, change.drive_id);
      return { phase: "after", run: (vm) => changeDrive(vm, change) };
    },
  },
  "network-interfaces": {
    PUT: (body, [id]) => {
      const config = readNamed(id, () => readBody(body, bodies.networkInterface));
      matchInterfaceIds(id, config.iface_id);
      return { phase: "before", isOfBoot: true, run: (vm) => vm.interfaces.put(config) };
    },
    PATCH: (body, [id]) => {
      const change = readNamed(id, () => readBody(body, bodies.interfaceUpdate));
      matchInterfaceIds(id, change.iface_id);
      return { phase: "after", run: (vm) => vm.interfaces.update(change) };
    },
  },
  "cpu-config": { PUT: (body) => (readBody(body, bodies.cpuConfig), { phase: "before", run: () => {} }) },
  pmem: {
    PUT: (_body, [id]) => readNamed(id, () => notInDouble("Pmem config error", "before")),
  },
  hotplug: {
    GET: (_body, [what]) => hotpluggedMemory("GET", what),
    PUT: (_body, [what]) => hotpluggedMemory("PUT", what),
    PATCH: (_body, [what]) => hotpluggedMemory("PATCH", what),
  },
  vsock: {
    PUT: (body) => {
      const config = readBody(body, bodies.vsock);
      return {
        phase: "before",
        isOfBoot: true,
        ...(config.vsock_id === null ? {} : { deprecated: "PUT /vsock: vsock_id field is deprecated." }),
        run: (vm) => vm.setVsock(config),
      };
    },
  },
  balloon: {
    GET: (_body, [what, more = ""]) => {
      if (what === undefined) return describeBalloon;
      if (what === "statistics") return balloonStatistics;
      if (what === "hinting" && more === "status") return balloonHinting;
      throw unrecognized("GET", what === "hinting" ? `/hinting/${more}` : what);
    },
    PUT: (body) => {
      const config = readBody(body, bodies.balloon);
      return { phase: "before", isOfBoot: true, run: (vm) => vm.setBalloon(config) };
    },
    PATCH: (body, [what, more = ""]) => {
      if (what === "hinting") {
        if (more !== "start" && more !== "stop") throw unrecognized("PATCH", `/hinting/${more}`);
        return balloonHinting;
      }
      return what === "statistics"
        ? changeBalloonStatistics(readBody(body, bodies.balloonStatisticsUpdate).stats_polling_interval_s)
        : changeBalloon(readBody(body, bodies.balloonUpdate).amount_mib);
    },
  },
  entropy: {
    PUT: (body) => {
      const config = readBody(body, bodies.entropy);
      return { phase: "before", isOfBoot: true, run: (vm) => void (vm.entropy = config) };
    },
  },
  serial: {
    PUT: (body) => {
      const config = readBody(body, bodies.serial);
      return { phase: "before", run: (vm) => void (vm.serial = config) };
    },
  },
  logger: {
    PUT: (body, _tokens, around) => {
      const config = readBody(body, bodies.logger);
      return { phase: "before", run: () => around.configureLog(config) };
    },
  },
  metrics: {
    PUT: (body, _tokens, around) => {
      const { metrics_path: path } = readBody(body, bodies.metrics);
      return { phase: "before", run: () => around.openMetrics(path) };
    },
  },
  mmds: {
    GET: () => ({ phase: "any", run: (vm) => vm.mmds.get(vm.hasBooted) }),
    PUT: (body, [what]) => {
      if (what === undefined) {
        const data = readBody(body, anything);
        return { phase: "any", run: (vm) => vm.mmds.put(data, vm.hasBooted) };
      }
      if (what !== "config") throw unrecognized("PUT", what);
      const config = readBody(body, bodies.mmdsConfig);
      return {
        phase: "before",
        isOfBoot: true,
        ...(config.version === "V2" ? {} : { deprecated: "PUT /mmds/config: V1 is deprecated. Use V2 instead." }),
        run: (vm) => {
          const interfaces = vm.interfaces.all.map((one) => one.iface_id);
          vm.mmds.configure(config, interfaces);
        },
      };
    },
    PATCH: (body) => {
      const change = readBody(body, anything);
      return { phase: "any", run: (vm) => vm.mmds.patch(change, vm.hasBooted) };
    },
  },
  actions: {
    PUT: (body, _tokens, around) => {
      const { action_type: action } = readBody(body, bodies.action);
      if (action === "InstanceStart") return { phase: "before", run: () => around.startVm() };
      if (action === "FlushMetrics") return { phase: "after", run: () => around.flushAll() };
      return { phase: "after", run: (vm) => vm.sendCtrlAltDel() };
    },
  },
  snapshot: {
    PUT: (body, [what], around) => {
      if (what === undefined) throw new Malformed("Missing snapshot operation type.");
      if (what === "create") return createSnapshot(body);
      if (what === "load") return loadSnapshot(body, around);
      throw unknownPath("PUT", `/snapshot/${what}`);
    },
  },
};

const withoutBody: Partial<Record<Method, string>> = { PUT: "Empty PUT request.", PATCH: "Empty PATCH request." };
const withBody: Partial<Record<Method, string>> = {
  GET: "GET request cannot have a body.",
};

/** What a request asks; throws Malformed where it asks nothing that Firecracker knows. */
export function route({ method, path, body }: Request, around: Surroundings): Call {
  const [first = "", ...tokens] = path.replace(/^\/+/, "").split("/");
  const mayBeEmpty = first === "balloon" && tokens[0] === "hinting";
  const fault = body === null ? (mayBeEmpty ? undefined : withoutBody[method]) : withBody[method];
  if (fault !== undefined) throw new Malformed(fault);
  const found = Object.hasOwn(routes, first) ? routes[first]?.[method] : undefined;
  if (found === undefined) throw unknownPath(method, first);
  return found(body ?? Buffer.alloc(0), tokens, around);
}

/** known of, refused in its phase */
const notInDouble = (prefix: string, phase: Call["phase"]): Call => ({
  phase,
  isOfBoot: phase !== "after",
  run: () => {
    throw new Refusal(`${prefix}: not supported by this double`);
  },
});

/** There is never any to ask for. */
function hotpluggedMemory(method: "GET" | "PUT" | "PATCH", what: string | undefined): Call {
  if (what !== "memory") throw unknownPath(method, "hotplug");
  if (method === "PUT") return notInDouble("Memory hotplug config error", "before");
  const prefix = method === "GET" ? "Internal VMM error" : "Memory hotplug update error";
  return {
    phase: "after",
    run: () => {
      throw new Refusal(`${prefix}: Failed perform action on device: Device not found`);
    },
  };
}

function templateIsDeprecated(method: string, template: string | null): { deprecated?: string } {
  return template === null ? {} : { deprecated: `${method} /machine-config: cpu_template field is deprecated.` };
}

/** Reads what carries an id in its path, of letters, digits and underscores. */
function readNamed<T>(id: string | undefined, read: () => T): T {
  if (id === undefined || id === "") throw new Malformed("The ID cannot be empty.", "EmptyID");
  if (!/^[\p{L}\p{N}_]+$/u.test(id))
    throw new Malformed("API Resource IDs can only contain alphanumeric characters and underscores.", "InvalidID");
  return read();
}

function matchIds(inPath: string | undefined, inBody: string): void {
  if (inPath !== inBody) throw new Malformed("The id from the path does not match the id from the body!");
}

function matchInterfaceIds(inPath: string | undefined, inBody: string): void {
  if (inPath !== inBody)
    throw new Malformed(`The id from the path [${inPath}] does not match the id from the body [${inBody}]!`);
}

function unknownPath(method: Method, path: string): Malformed {
  const name = method.charAt(0) + method.slice(1).toLowerCase();
  return new Malformed(
    `Invalid request method and/or path: ${method} ${path}.`,
    `InvalidPathMethod(${JSON.stringify(path)}, ${name})`,
  );
}

function unrecognized(method: Method, path: string): Malformed {
  return new Malformed(`Unrecognized ${method} request path \`${path}\`.`);
}
