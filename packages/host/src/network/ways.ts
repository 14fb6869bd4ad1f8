import { constants, promises as fs } from "node:fs";
import type { NetworkMode, NetworkWay } from "@workfort/contract";
import { findProgram } from "../process/find-program.ts";
import { runTool, ToolError } from "../process/run.ts";
import { pastaOptions } from "./uplink.ts";

/** Which ways of joining a network to this host there are. */
export interface WayFound {
  way: NetworkWay;
  /** null where it can be used, else why it cannot */
  trouble: string | null;
  hint: string | null;
}

export interface Choice {
  way: NetworkWay | null;
  /** why this one, or why none */
  reason: string;
  /** the next command to type where there is none */
  hint: string | null;
}

/** where root installs the network helper for users (native/network-helper) */
export const installedHelper = "/usr/local/libexec/workfort/network-helper";
const setupHint = "sudo nexusctl network setup";
const toolBoundMs = 10_000;
const order: readonly NetworkWay[] = ["root", "helper", "pasta"];
/** of every way: what the namespace is made, entered and ruled with */
const needed: readonly { program: string; debian: string }[] = [
  { program: "ip", debian: "iproute2" },
  { program: "nft", debian: "nftables" },
  { program: "unshare", debian: "util-linux" },
  { program: "nsenter", debian: "util-linux" },
  { program: "setpriv", debian: "util-linux" },
];

export interface WaysNeeds {
  uid: number;
  tag: string;
  /** the network helper that root runs */
  helperProgram: string;
  installedHelper: string;
  tun: string;
}

/** The way that a mode means on this host. */
export async function chooseWay(mode: NetworkMode, needs: WaysNeeds): Promise<Choice> {
  if (mode === "off") return { way: null, reason: "network.mode is off", hint: null };
  const common = await commonTrouble(needs);
  if (common !== null) return { way: null, ...common };
  const wanted = mode === "auto" ? order.filter((way) => (way === "root") === (needs.uid === 0)) : [mode];
  const tried: WayFound[] = [];
  for (const way of wanted) {
    const found = await lookAt(way, needs);
    if (found.trouble === null) return { way, reason: because(way, mode, tried), hint: null };
    tried.push(found);
  }
  return {
    way: null,
    reason: tried.map(({ way, trouble }) => `${way}: ${trouble}`).join("; "),
    hint: tried.at(-1)?.hint ?? tried[0]?.hint ?? null,
  };
}

function because(way: NetworkWay, mode: NetworkMode, tried: readonly WayFound[]): string {
  const words = {
    root: "a veth pair with NAT, made by the daemon as root",
    helper: `a veth pair with NAT, made by ${installedHelper}`,
    pasta: "pasta, as the user",
  };
  const why = mode === "auto" ? tried.map((other) => `${other.way}: ${other.trouble}`) : [`network.mode is ${mode}`];
  return why.length === 0 ? words[way] : `${words[way]} (${why.join("; ")})`;
}

async function commonTrouble(needs: WaysNeeds): Promise<{ reason: string; hint: string } | null> {
  const missing: { program: string; debian: string }[] = [];
  for (const tool of needed) if ((await findTool(tool.program)) === null) missing.push(tool);
  if (missing.length > 0)
    return {
      reason: `${missing.map(({ program }) => program).join(", ")} ${missing.length === 1 ? "is" : "are"} not installed`,
      hint: `sudo apt-get install ${[...new Set(missing.map(({ debian }) => debian))].join(" ")}`,
    };
  return await tunTrouble(needs.tun);
}

/** Whether this user may open `/dev/net/tun`, which VMMs and pasta do. */
async function tunTrouble(path: string): Promise<{ reason: string; hint: string } | null> {
  try {
    await (await fs.open(path, constants.O_RDWR)).close();
    return null;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM")
      return {
        reason: `${path} may not be opened by this user; hosts usually have it with mode 0666, and it gives no right over interfaces of others`,
        hint: `sudo chmod 0666 ${path}   (for good: echo 'KERNEL=="tun", MODE="0666"' | sudo tee /etc/udev/rules.d/60-tun.rules)`,
      };
    if (code === "ENOENT" || code === "ENODEV" || code === "ENXIO")
      return { reason: `there is no ${path}: the kernel module tun is not loaded`, hint: "sudo modprobe tun" };
    return { reason: `${path} cannot be opened: ${message}`, hint: "sudo modprobe tun" };
  }
}

async function lookAt(way: NetworkWay, needs: WaysNeeds): Promise<WayFound> {
  const no = (trouble: string, hint: string | null): WayFound => ({ way, trouble, hint });
  if (way === "root") {
    if (needs.uid !== 0) return no("the daemon is not root", null);
    return (await findProgram("network-helper", needs.helperProgram)) === null
      ? no(`${needs.helperProgram} is missing`, "npm run build")
      : { way, trouble: null, hint: null };
  }
  if (needs.uid === 0) return no("the daemon is root, and needs no other way than `root`", "nexusctl network status");
  const closed = await userNamespaceTrouble();
  if (closed !== null) return no(closed.reason, closed.hint);
  return way === "helper" ? await lookAtHelper(needs) : await lookAtPasta();
}

async function lookAtHelper({ installedHelper: program, tag }: WaysNeeds): Promise<WayFound> {
  const way = "helper";
  const found = await fs.stat(program).catch(() => null);
  if (found === null) return { way, trouble: "it is not installed", hint: setupHint };
  if (found.uid !== 0 || (found.mode & 0o4000) === 0)
    return { way, trouble: `${program} is not root's with the setuid bit`, hint: setupHint };
  try {
    await runTool([program, "status", tag], { timeoutMs: toolBoundMs });
    return { way, trouble: null, hint: null };
  } catch (error) {
    return { way, trouble: lastLine(error), hint: setupHint };
  }
}

async function lookAtPasta(): Promise<WayFound> {
  const way = "pasta";
  const program = await findTool("pasta");
  if (program === null) return { way, trouble: "pasta is not installed", hint: "sudo apt-get install passt" };
  // it prints its help on stderr, and among it what it cannot say to a log
  const { stdout, stderr } = await runTool([program, "--help"], { timeoutMs: toolBoundMs, okCodes: [0, 1] });
  const help = stdout + stderr;
  const missing = [...pastaOptions, "--ns-ifname", "--userns"].filter((option) => !help.includes(option));
  return missing.length === 0
    ? { way, trouble: null, hint: null }
    : { way, trouble: `this pasta is too old: it has no ${missing.join(", ")}`, hint: "sudo apt-get install passt" };
}

/** Whether an ordinary user may make user namespaces; found out by making one. */
async function userNamespaceTrouble(): Promise<{ reason: string; hint: string } | null> {
  try {
    await runTool(["unshare", "--user", "--map-root-user", "--net", "true"], { timeoutMs: toolBoundMs });
    return null;
  } catch (error) {
    const off: [path: string, value: string, hint: string][] = [
      ["kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"],
      ["kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"],
      ["user/max_user_namespaces", "0", "user.max_user_namespaces=15000"],
    ];
    for (const [path, value, setting] of off) {
      const read = await fs.readFile(`/proc/sys/${path}`, "utf8").catch(() => "");
      if (read.trim() === value)
        return {
          reason: `users may not make user namespaces here (${path.replaceAll("/", ".")} is ${value})`,
          hint: `sudo sysctl -w ${setting}   (for good: echo ${setting} | sudo tee /etc/sysctl.d/60-userns.conf)`,
        };
    }
    return { reason: `no user namespace can be made: ${lastLine(error)}`, hint: "nexusctl doctor" };
  }
}

/** A user's PATH may lack the directories of system programs. */
export async function findTool(program: string): Promise<string | null> {
  for (const configured of [null, `/usr/sbin/${program}`, `/sbin/${program}`]) {
    const found = await findProgram(program, configured);
    if (found !== null) return found;
  }
  return null;
}

function lastLine(error: unknown): string {
  const text = error instanceof ToolError || error instanceof Error ? error.message : String(error);
  return text.split("\n").at(-1) ?? text;
}
