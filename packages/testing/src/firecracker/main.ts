import { existsSync, readFileSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { apiServer } from "./api-server.ts";
import { startByFile } from "./config-file.ts";
import { readFaults } from "./faults.ts";
import { FlagError, helpText, readFlags, type Flags } from "./flags.ts";
import { Refusal, systemWords } from "./refusal.ts";
import { isLogLevel } from "./shapes.ts";
import { readVersion, SnapshotFileError, snapshotVersion } from "./snapshot-file.ts";
import { VmmProcess } from "./vmm-process.ts";

/**
 * A double of the program `firecracker`, for tests on a machine without KVM: its API, its process and its vsock socket
 * are as Firecracker's own, and the guest it boots is a real one, in QEMU under software emulation.
 *
 * What it has not: limits of interfaces' rates, snapshots of what has changed and memory by userfaultfd, PCI, pmem,
 * hotplugged memory, MMDS for the guest, and Firecracker's exit for a triple fault, which QEMU does not tell from a
 * reset. The guest's AF_VSOCK is a vhost-user device (see vsock-device.ts), of which QEMU makes no snapshot.
 */
const slowStartMs = 1_000;
/** of a timer that only keeps the process */
const foreverMs = 3_600_000;
const faults = readFaults(process.env["FIRECRACKER_DOUBLE_FAULT"] ?? "");
const flags = readFlagsOrExit();
const vmm = new VmmProcess(flags, faults);
process.on("SIGHUP", () => vmm.exit(156));
if (faults.deaf) process.on("SIGTERM", () => {});
printAndExit();
await pass("start");
configureOrExit();
vmm.log.info("main", `Running Firecracker v${faults.version}`);
openMetricsOrExit();
const config = readOrPanic(flags.configFile, "Unable to open or read from the configuration file");
const metadata = readOrPanic(flags.metadata, "Unable to open or read from the mmds content file");
if (metadata !== null) vmm.vm.mmds.put(JSON.parse(metadata.toString()), false);
if (!flags.noApi) await serveOrExit();
if (config !== null) await startOrExit(config);

/** Goes on unless the process is to end, or to hang, at this moment. */
async function pass(moment: string): Promise<void> {
  const words = faults.wordsAt(moment);
  if (words !== null) writeSync(2, words);
  const fault = faults.at(moment);
  if (fault?.kind === "exit") process.exit(fault.code);
  if (fault?.kind === "kill") process.kill(process.pid, "SIGKILL");
  if (fault?.kind === "hang") await new Promise(() => setInterval(() => {}, foreverMs));
}

function readFlagsOrExit(): Flags {
  try {
    return readFlags(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    return new VmmProcess(readFlags([]), faults).exit(153, { log: error.message, error: error.debug });
  }
}

function printAndExit(): void {
  if (flags.describeSnapshot !== null) describeSnapshotAndExit(flags.describeSnapshot);
  if (flags.prints === null) return;
  if (flags.prints === "snapshot-version") console.log(`v${snapshotVersion}`);
  else console.log(`Firecracker v${faults.version}\n${flags.prints === "help" ? helpText() : ""}`);
  vmm.exit(0);
}

function describeSnapshotAndExit(path: string): never {
  try {
    console.log(`v${readVersion(readFileSync(path))}`);
  } catch (error) {
    const why =
      error instanceof SnapshotFileError
        ? `Invalid data format version of snapshot file: ${error.message}`
        : `Unable to open snapshot state file: ${systemWords(error)}`;
    return vmm.exit(1, {
      log: `When printing Snapshot Data format: ${why}`,
      error: `PrintSnapshotDataFormat(${JSON.stringify(why)})`,
    });
  }
  return vmm.exit(0);
}

function configureOrExit(): void {
  if (flags.level !== null && !isLogLevel(flags.level))
    vmm.exit(152, {
      log: `Invalid value for logger level: Failed to parse string to level filter: ${flags.level}.Possible values: [Error, Warning, Info, Debug]`,
      error: `InvalidLogLevel(LevelFilterFromStrError(${JSON.stringify(flags.level)}))`,
    });
  if (!/^[A-Za-z0-9-]{1,64}$/.test(flags.id)) vmm.panic(`Invalid instance ID: ${JSON.stringify(flags.id)}`);
  try {
    vmm.log.configure({
      log_path: flags.logPath,
      level: flags.level,
      module: flags.module,
      show_level: flags.showLevel,
      show_log_origin: flags.showLogOrigin,
    });
  } catch (error) {
    const why = systemWords(error);
    vmm.exit(1, {
      log: `Could not initialize logger: Failed to open target file: ${why}`,
      error: `LoggerInitialization(LoggerUpdateError(${JSON.stringify(why)}))`,
    });
  }
}

function openMetricsOrExit(): void {
  if (flags.metricsPath === null) return;
  try {
    vmm.openMetrics(flags.metricsPath);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const why = error.message.replace(/^Metrics error: /, "");
    vmm.exit(1, {
      log: `Could not initialize metrics: ${why}`,
      error: `MetricsInitialization(InitializationFailure(${JSON.stringify(why.replace(/^.*: /, ""))}))`,
    });
  }
}

function readOrPanic(path: string | null, complaint: string): Buffer | null {
  if (path === null) return null;
  try {
    return readFileSync(path);
  } catch (error) {
    return vmm.panic(`${complaint}: ${systemWords(error)}`);
  }
}

async function serveOrExit(): Promise<void> {
  const { apiSock: path, maxPayloadBytes } = flags;
  if (!Number.isInteger(maxPayloadBytes))
    vmm.panic("'http-api-max-payload-size' parameter expected to be of 'usize' type.");
  if (faults.slowStart) await delay(slowStartMs);
  await pass("socket");
  const server = apiServer({
    path,
    maxPayloadBytes,
    faults,
    answer: (request) => vmm.answer(request),
    pass,
  });
  try {
    await server.listen();
  } catch (error) {
    const isTaken = existsSync(path);
    const why = isTaken
      ? `Failed to open the API socket at: ${path}. Check that it is not already used.`
      : `Failed to bind and run the HTTP server: IO error: ${systemWords({ ...Object(error), code: "ENOENT" })}`;
    vmm.exit(1, {
      log: `RunWithApiError error: ${why}`,
      error: `RunWithApi(${isTaken ? `FailedToBindSocket(${JSON.stringify(path)})` : "FailedToBindAndRunHttpServer"})`,
    });
  }
  vmm.log.info("main", `Listening on API socket (${JSON.stringify(path)}).`);
  vmm.log.info("fc_api", "API server started.");
}

async function startOrExit(text: Buffer): Promise<void> {
  try {
    await startByFile(vmm, text);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    vmm.exit(1, {
      log: `${flags.noApi ? "RunWithoutApiError" : "RunWithApiError"} error: Failed to build MicroVM from Json: Configuration for VMM from one single json failed: ${error.message}`,
      error: `${flags.noApi ? "RunWithoutApiError(BuildMicroVMFromJson" : "RunWithApi(BuildFromJson"}(${JSON.stringify(error.message)}))`,
    });
  }
}
