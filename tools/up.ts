import { spawn } from "node:child_process";
import { promises as fs, openSync } from "node:fs";
import { basename, join } from "node:path";
import { createClient, DaemonUnreachable, type Client } from "@workfort/client";
import { WorkfortError, type Boot } from "@workfort/contract";
import type { Locations } from "@workfort/contract/locations";
import { prepareAssets } from "@workfort/host/assets/prepare.ts";
import { pathsOf } from "@workfort/host/paths.ts";
import { ToolError, runTool } from "@workfort/host/process/run.ts";
import { checkStore } from "@workfort/host/storage/store-check.ts";
import { checkout, claimInstance } from "./instance.ts";
import { paint, runScript, step, Stop } from "./steps.ts";
import { hasUserSystemd, installUnit, unitName } from "./systemd.ts";

/** Steps 3 to 6 of `npm run up`; 1 and 2 are in up.sh. Each looks first whether it has been done. */
const daemonBoundMs = 30_000;
const vmName = "hello";
const question =
  'uname -sr; . /etc/os-release; echo "$PRETTY_NAME"; echo "$(nproc) CPU, $(free -m | awk \'/Mem:/{print $2}\') MiB of memory"; df -h / | tail -n 1 | awk \'{print $2 " disk, " $4 " free"}\'';

await runScript(async (signal) => {
  const locations = await claimInstance();
  await step("[3/6] Storage", (tell) => prepareStorage(locations, tell));
  const client = createClient({ socket: locations.socket });
  await step("[4/6] Daemon", (tell) => startDaemon(client, locations, tell));
  await step("[5/6] Kernel and base image", (tell) => prepareImage(client, locations, tell, signal));
  await step(`[6/6] VM ${vmName}`, (tell) => runHello(client, tell));
  client.close();
});

async function prepareStorage(locations: Locations, tell: (text: string) => void): Promise<void> {
  const paths = pathsOf(locations);
  try {
    await checkStore(paths, locations.dataDirectory);
  } catch (error) {
    if (!(error instanceof WorkfortError)) throw error;
    const command = [join(checkout, "bin/nexusd"), "storage", "init"];
    const kept = ["HOME", "NEXUS_INSTANCE", "XDG_DATA_HOME", "XDG_STATE_HOME"]
      .filter((name) => process.env[name] !== undefined)
      .map((name) => `${name}=${process.env[name]}`);
    if (process.getuid?.() === 0) await runTool(command as [string], { onErrorLine: tell });
    else if (process.stdin.isTTY) {
      tell(`${error.message}; making a store in a file needs root`);
      await inherit("sudo", ["env", ...kept, ...command]);
    } else throw new Stop(error.message, `sudo env ${kept.join(" ")} ${command.join(" ")}`);
    await checkStore(paths, locations.dataDirectory);
  }
  tell(`${locations.dataDirectory} is ready`);
}

async function startDaemon(client: Client, locations: Locations, tell: (text: string) => void): Promise<void> {
  const before = await statusOrNull(client);
  if (before !== null) {
    tell(`nexusd ${before.version} serves already (pid ${before.pid})`);
    return;
  }
  if (await hasUserSystemd()) {
    await installUnit(locations.instance);
    await runTool(["systemctl", "--user", "start", unitName(locations.instance)]).catch((error: unknown) => {
      throw new Stop(
        `systemd could not start nexusd: ${error instanceof ToolError ? error.message : String(error)}`,
        `journalctl --user -u ${unitName(locations.instance)} -n 30`,
      );
    });
  } else await spawnDaemon(locations);
  const deadline = performance.now() + daemonBoundMs;
  const { logFile } = pathsOf(locations);
  for (;;) {
    const status = await statusOrNull(client);
    if (status !== null) {
      tell(
        `nexusd ${status.version} serves (pid ${status.pid}, ${status.socket}${status.tcp === null ? "" : `, http://${status.tcp}`})`,
      );
      return;
    }
    if (performance.now() > deadline || !(await isAlive(locations))) {
      const log = await fs.readFile(logFile, "utf8").catch(() => "");
      throw new Stop(
        `nexusd does not serve. The end of its log:\n${log.trim().split("\n").slice(-5).join("\n")}`,
        `less ${logFile}`,
        "bin/nexusctl doctor",
      );
    }
    await new Promise((again) => setTimeout(again, 50));
  }
}

/** In the background, with a log and a pid file. */
async function spawnDaemon(locations: Locations): Promise<void> {
  const { logFile, pidFile } = pathsOf(locations);
  const log = openSync(logFile, "w", 0o600);
  const child = spawn(join(checkout, "bin/nexusd"), [], { detached: true, stdio: ["ignore", log, log], cwd: "/" });
  child.unref();
  await fs.writeFile(pidFile, `${child.pid}\n`);
}

async function isAlive(locations: Locations): Promise<boolean> {
  if (await hasUserSystemd()) return true;
  const pid = Number(await fs.readFile(pathsOf(locations).pidFile, "utf8").catch(() => "0"));
  return await fs.access(`/proc/${pid}`).then(
    () => true,
    () => false,
  );
}

async function statusOrNull(
  client: Client,
): Promise<{ version: string; pid: number; socket: string; tcp: string | null } | null> {
  try {
    return await client.call("system.status");
  } catch (error) {
    if (error instanceof DaemonUnreachable) return null;
    throw error;
  }
}

async function prepareImage(
  client: Client,
  locations: Locations,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const assets = await prepareAssets(locations.cacheDirectory, { signal, onProgress: tell });
  const version = basename(assets.kernelDirectory);
  const target = join(pathsOf(locations).kernels, version);
  if ((await fs.stat(target).catch(() => null)) === null) {
    await fs.rm(`${target}.tmp`, { recursive: true, force: true });
    await fs.cp(assets.kernelDirectory, `${target}.tmp`, { recursive: true });
    await fs.rename(`${target}.tmp`, target);
  }
  tell(`kernel ${version}`);
  const { images } = await client.call("image.list");
  if (!images.some((image) => image.name === "base")) {
    await client.progress("image.import", { body: { name: "base", source: assets.rootfsImage } }, ({ step: what }) =>
      tell(what),
    );
  }
  tell("master image base");
}

async function runHello(client: Client, tell: (text: string) => void): Promise<void> {
  const { vms } = await client.call("vm.list");
  if (!vms.some((vm) => vm.name === vmName)) await client.call("vm.create", { body: { name: vmName, image: "base" } });
  const params = { vm: vmName };
  let vm = await client.call("vm.get", { params });
  if (vm.state !== "running")
    vm = await client.progress("vm.start", { params, body: {} }, ({ step: what }) => tell(what));
  if (vm.running !== null) tell(vm.running.reason);
  console.log(paint("bold", `\n$ nexusctl vm exec ${vmName} -- sh -c …`));
  const answer = await client.call("vm.exec", { params, body: { argv: ["sh", "-c", question] } });
  process.stdout.write(answer.stdout + answer.stderr);
  if (answer.exitCode !== 0)
    throw new Stop(`the command ended with ${answer.exitCode ?? answer.signal}`, `bin/nexusctl vm logs ${vmName}`);
  const { boots } = await client.call("vm.history", { params });
  if (boots[0] !== undefined) printPhases(boots[0]);
  console.log(`\nTry next:
  bin/nexusctl vm exec ${vmName} -- apt list --installed
  bin/nexusctl vm create dev --start
  bin/nexusctl vm history ${vmName}
  bin/nexusctl status
  npm run down`);
}

function printPhases(boot: Boot): void {
  const total = (boot.readyAt ?? boot.startedAt) - boot.startedAt;
  console.log(paint("bold", "\nBoot phase     ms"));
  for (const phase of boot.phases) {
    const bar = "█".repeat(Math.max(1, Math.round((phase.durationMs / Math.max(total, 1)) * 40)));
    console.log(
      `${phase.name.padEnd(11)}${phase.durationMs.toFixed(0).padStart(6)}  ${" ".repeat(Math.round((phase.startedAtMs / Math.max(total, 1)) * 40))}${paint("cyan", bar)}`,
    );
  }
  console.log(`${"ready after".padEnd(11)}${String(total).padStart(6)}`);
}

async function inherit(program: string, argv: string[]): Promise<void> {
  const child = spawn(program, argv, { stdio: "inherit" });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", reject);
  child.once("exit", resolve);
  if ((await promise) !== 0) throw new Stop(`${program} did not succeed`, [program, ...argv].join(" "));
}
