import { promises as fs } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";
import { checkout } from "./instance.ts";

/** The systemd user service of a checkout: `systemctl --user start nexus`. */
export function unitName(instance: string): string {
  return `${instance}.service`;
}

/** Whether a user manager serves this session. */
export async function hasUserSystemd(): Promise<boolean> {
  const runtime = process.env["XDG_RUNTIME_DIR"] ?? `/run/user/${process.getuid?.()}`;
  return await fs.access(join(runtime, "systemd/private")).then(
    () => true,
    () => false,
  );
}

/** Writes the unit from distro/systemd/nexus.service with this checkout's program, and has systemd read it. */
export async function installUnit(instance: string): Promise<void> {
  const template = await fs.readFile(join(checkout, "distro/systemd/nexus.service"), "utf8");
  const unit = template
    .replace(/^ExecStart=.*$/m, `ExecStart=${join(checkout, "bin/nexusd")}`)
    .replace(/^\[Service\]$/m, `[Service]\nEnvironment=NEXUS_INSTANCE=${instance}`);
  const directory = join(process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "systemd/user");
  const path = join(directory, unitName(instance));
  if ((await fs.readFile(path, "utf8").catch(() => "")) === unit) return;
  await fs.mkdir(directory, { recursive: true });
  await fs.writeFile(path, unit);
  await runTool(["systemctl", "--user", "daemon-reload"]);
}
