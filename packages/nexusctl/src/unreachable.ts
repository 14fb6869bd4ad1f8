import type { DaemonUnreachable } from "@workfort/client/errors";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Cli } from "./cli.ts";
import { exitCodes } from "./exit-codes.ts";
import { own, type Explanation } from "./explain.ts";
import { checkout } from "./sibling.ts";

/** Says why the daemon cannot be reached, and the command that starts it on this machine. */
export function explainUnreachable(error: DaemonUnreachable, cli: Pick<Cli, "env" | "locations">): Explanation {
  const headline = `cannot reach nexusd at ${error.address}`;
  const { why, next } = cause(error, cli);
  return own("daemon_unreachable", exitCodes.unreachable, headline, why, next);
}

function cause(error: DaemonUnreachable, cli: Pick<Cli, "env" | "locations">): { why: string[]; next: string } {
  switch (error.reason) {
    case "missing":
      return (
        otherUsersDaemon(cli) ?? { why: ["the socket is not there: the daemon does not run"], next: startCommand(cli) }
      );
    case "refused":
      return {
        why: ["the socket is there, but nobody listens on it: the daemon died without removing it", ...logLine(cli)],
        next: startCommand(cli),
      };
    case "forbidden":
      return {
        why: [
          `the socket belongs to another user${ownerOf(error.address)}; nexusctl runs as uid ${process.getuid?.() ?? "?"}`,
        ],
        next: "run nexusctl as the user who started the daemon, or start a daemon of your own: " + startCommand(cli),
      };
    case "lost":
      return {
        why: [
          "the daemon closed the connection in the middle: it was stopped, or died; what was asked may have been done",
          ...logLine(cli),
        ],
        next: "nexusctl status",
      };
    case "other":
      return {
        why: [`the connection failed: ${(error.cause as Error | undefined)?.message ?? error.code ?? "unknown"}`],
        next: "nexusctl doctor",
      };
  }
}

/** Under sudo the daemon of the user is not root's. */
function otherUsersDaemon({ env, locations }: Pick<Cli, "env" | "locations">): { why: string[]; next: string } | null {
  const uid = env["SUDO_UID"];
  if (uid === undefined || process.getuid?.() !== 0) return null;
  if (!existsSync(join("/run/user", uid, locations.instance, "nexus.sock"))) return null;
  return {
    why: [`root has no daemon; the one of ${env["SUDO_USER"] ?? `uid ${uid}`} runs`],
    next: "the same command without sudo",
  };
}

function ownerOf(socket: string): string {
  for (const path of [socket, dirname(socket)]) {
    try {
      return ` (uid ${statSync(path).uid})`;
    } catch {
      // not to be seen from here; its directory may be
    }
  }
  return "";
}

function logLine({ locations }: Pick<Cli, "locations">): string[] {
  const log = join(locations.stateDirectory, "nexusd.log");
  return existsSync(log) ? [`its log: ${log}`] : [];
}

/** The way of starting the daemon that fits this machine. */
export function startCommand({ env, locations }: Pick<Cli, "env" | "locations">): string {
  const { instance } = locations;
  if (hasUserUnit(env, `${instance}.service`)) return `systemctl --user start ${instance}`;
  if (checkout === null) return "nexusd";
  return process.cwd() === checkout ? "npm run up" : `npm --prefix ${checkout} run up`;
}

/** Whether systemd looks after this user's services and has a unit of ours. */
function hasUserUnit(env: Cli["env"], unit: string): boolean {
  const runtime = env["XDG_RUNTIME_DIR"];
  if (!runtime || !existsSync(join(runtime, "systemd/private"))) return false;
  const home = env["HOME"] ?? "/";
  const directories = [
    join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "systemd/user"),
    join(env["XDG_DATA_HOME"] || join(home, ".local/share"), "systemd/user"),
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
  ];
  return directories.some((directory) => existsSync(join(directory, unit)));
}
