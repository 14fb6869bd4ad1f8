/**
 * A double of Firecracker, since no machine of the tests boots a guest on KVM: its API, phases, checks and texts as
 * its public documentation and source have them, with a guest booted by QEMU under software emulation. `CONNECT` on
 * the vsock is bridged to the agent's virtio-serial port. Snapshots, network devices and MMDS are not in it.
 *
 *   node main.ts FAULT-FILE <firecracker's flags>
 *
 * The file holds a fault, or nothing: `hang METHOD PATH`, `half METHOD PATH`, `exit CODE METHOD PATH`,
 * `version X.Y.Z`, `deaf` (the vsock refuses everybody).
 */
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Guest } from "./guest.ts";
import { NoAnswer, serveApi, type ApiAnswer, type ApiRequest } from "./http.ts";
import { ConfigFile, Machine } from "./machine.ts";
import { serveVsock } from "./vsock.ts";

const [faultFile = "", ...flags] = process.argv.slice(2);
const fault = existsSync(faultFile) ? readFileSync(faultFile, "utf8").trim() : "";
const version = /^version (\S+)/.exec(fault)?.[1] ?? "1.15.1";

const { values } = parseArgs({
  args: flags,
  options: {
    version: { type: "boolean" },
    "api-sock": { type: "string" },
    id: { type: "string" },
    "log-path": { type: "string" },
    level: { type: "string" },
    "no-api": { type: "boolean" },
    "config-file": { type: "string" },
  },
});

if (values.version) console.log(`Firecracker v${version}\n`);
else await run();

async function run(): Promise<void> {
  const guest = Guest.prepare(values["api-sock"] ?? values["config-file"] ?? faultFile);
  const machine = new Machine(
    { id: values.id ?? "anonymous-instance", version },
    {
      bindVsock: (path) => void serveVsock(path, () => (fault === "deaf" ? null : guest.agentSocket)),
      start: (self) => guest.boot(self, () => process.exit(0)),
      pause: () => guest.pause(),
      resume: () => guest.resume(),
    },
  );
  if (values["config-file"] !== undefined) {
    const config = ConfigFile.parse(JSON.parse(readFileSync(values["config-file"], "utf8")));
    machine.config = config["machine-config"] ?? machine.config;
    machine.setBootSource(config["boot-source"]);
    await guest.boot(machine, () => process.exit(0));
  }
  const socket = values["api-sock"];
  if (values["no-api"] || socket === undefined) return;
  if (existsSync(socket)) {
    console.error(`Failed to open the API socket at: ${socket}. Check that it is not already used.`);
    process.exit(1);
  }
  serveApi(socket, (request) => withFault(request, () => machine.handle(request)));
}

async function withFault(request: ApiRequest, handle: () => Promise<ApiAnswer>): Promise<ApiAnswer> {
  const [kind, ...rest] = fault.split(" ");
  const at = rest.slice(-2).join(" ");
  if (`${request.method} ${request.path}` !== at) return await handle();
  if (kind === "exit") {
    console.error("2026-01-01T00:00:00.000000000 [double:main] the fault that was asked for");
    process.exit(Number(rest[0]));
  }
  if (kind === "hang") return await new Promise<never>(() => {});
  if (kind === "half") throw new NoAnswer("HTTP/1.1 2");
  return await handle();
}
