import * as bodies from "./bodies.ts";
import { JsonError } from "./json-reader.ts";
import { usualMachineConfig } from "./machine-config.ts";
import { Refusal } from "./refusal.ts";
import { anything, defaulting, list, optional, readJson, required, struct } from "./shapes.ts";
import type { VmmProcess } from "./vmm-process.ts";

/** The configuration file: what the requests would say, in one object; what it does not know it does not see. */
interface ConfigFile {
  balloon: bodies.Balloon | null;
  drives: bodies.Drive[];
  "boot-source": bodies.BootSource;
  "cpu-config": unknown;
  logger: bodies.LoggerConfig | null;
  "machine-config": bodies.MachineConfig | null;
  metrics: { metrics_path: string } | null;
  "mmds-config": bodies.MmdsConfig | null;
  "network-interfaces": bodies.Interface[];
  vsock: bodies.Vsock | null;
  entropy: { rate_limiter: bodies.RateLimiter | null } | null;
}

const configFile = struct<ConfigFile>(
  "VmmConfig",
  {
    balloon: optional(bodies.balloon),
    drives: required(list(bodies.drive)),
    "boot-source": required(bodies.bootSource),
    "cpu-config": optional(anything),
    logger: optional(bodies.logger),
    "machine-config": optional(bodies.machineConfig),
    metrics: optional(bodies.metrics),
    "mmds-config": optional(bodies.mmdsConfig),
    "network-interfaces": defaulting(list(bodies.networkInterface), []),
    vsock: optional(bodies.vsock),
    entropy: optional(bodies.entropy),
  },
  true,
);

/** Configures the VM by a file and starts it; throws Refusal with why it cannot be. */
export async function startByFile(vmm: VmmProcess, text: Buffer): Promise<void> {
  const { vm } = vmm;
  const config = readConfig(text);
  if (config.logger !== null) vmm.configureLog(config.logger);
  if (config.metrics !== null) vmm.openMetrics(config.metrics.metrics_path);
  vm.changeMachine(config["machine-config"] ?? usualMachineConfig);
  vm.setBoot(config["boot-source"]);
  for (const drive of config.drives) vm.drives.put(drive);
  for (const one of config["network-interfaces"]) await vm.interfaces.put(one);
  if (config.vsock !== null) await vm.setVsock(config.vsock);
  if (config["mmds-config"] !== null)
    vm.mmds.configure(
      config["mmds-config"],
      vm.interfaces.all.map((one) => one.iface_id),
    );
  if (config.balloon !== null) vm.setBalloon(config.balloon);
  vm.entropy = config.entropy;
  await vmm.startVm();
}

function readConfig(text: Buffer): ConfigFile {
  try {
    return readJson(text, configFile);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new Refusal(`Invalid JSON: ${error.words}`);
  }
}
