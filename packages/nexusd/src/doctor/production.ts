import { promises as fs } from "node:fs";
import { join } from "node:path";
import type { Check } from "@workfort/contract";

/**
 * What matters on a host whose VMs belong to people who do not trust one another; on one's own workstation all of it
 * may be left as it is. The list is that of Firecracker's production host recommendations.
 */
const whom = "matters where VMs of people who do not trust one another share this host";
/** generous for a hundred VMs: each takes a few of the daemon's descriptors, and each stream to a client one more */
const enoughOpenFiles = 4096;
/** generous for a hundred VMs: a keeper each, and a VMM with its threads */
const enoughProcesses = 2048;

/** `root` is the directory that holds the host's `proc` and `sys`. */
export async function checkProduction(root = "/"): Promise<Check[]> {
  const read = async (path: string): Promise<string | null> =>
    await fs.readFile(join(root, path), "utf8").then(
      (text) => text.trim(),
      () => null,
    );
  return [
    checkSmt(await read("sys/devices/system/cpu/smt/control")),
    checkKsm(await read("sys/kernel/mm/ksm/run")),
    checkSwap(await read("proc/swaps")),
    checkProcessor(await readEach(join(root, "sys/devices/system/cpu/vulnerabilities"))),
    ...checkLimits((await read("proc/self/limits")) ?? ""),
  ];
}

function checkSmt(control: string | null): Check {
  const name = "SMT";
  if (control !== "on") return ok(name, control === "notsupported" || control === null ? "not there" : "off");
  return warning(
    name,
    `on: two VMs may run on one core and see each other through its caches; ${whom}`,
    "echo off | sudo tee /sys/devices/system/cpu/smt/control",
  );
}

function checkKsm(run: string | null): Check {
  if (run !== "1") return ok("KSM", run === null ? "not there" : "off");
  return warning(
    "KSM",
    `on: a VM can time whether another has the same page; ${whom}`,
    "echo 2 | sudo tee /sys/kernel/mm/ksm/run",
  );
}

/** Swap in compressed memory leaves nothing on a disk. */
function checkSwap(table: string | null): Check {
  const areas = (table ?? "")
    .split("\n")
    .slice(1)
    .map((line) => line.split(/\s/)[0] ?? "")
    .filter((area) => area !== "" && !area.startsWith("/dev/zram"));
  if (areas.length === 0) return ok("swap", "none on a disk");
  return warning(
    "swap",
    `${areas.join(", ")}: guest memory, and the secrets in it, may be written there; matters unless it is encrypted`,
    "sudo swapoff --all",
  );
}

function checkProcessor(vulnerabilities: ReadonlyMap<string, string>): Check {
  const open = [...vulnerabilities].filter(([, state]) => /^Vulnerable\b/.test(state)).map(([weakness]) => weakness);
  const name = "processor";
  if (vulnerabilities.size === 0) return ok(name, "the kernel tells of no weakness");
  if (open.length === 0) return ok(name, "its known weaknesses are mitigated");
  return warning(
    name,
    `not mitigated: ${open.toSorted().join(", ")}; ${whom}`,
    "install the newest microcode and kernel, and restart   (then: grep . /sys/devices/system/cpu/vulnerabilities/*)",
  );
}

function checkLimits(limits: string): Check[] {
  const hard = (title: string): number => {
    const [, , found] = new RegExp(`^${title} +(\\S+) +(\\S+)`, "m").exec(limits) ?? [];
    return found === undefined || found === "unlimited" ? Infinity : Number(found);
  };
  const check = (name: string, limit: number, enough: number, option: string): Check =>
    limit >= enough
      ? ok(name, limit === Infinity ? "unlimited" : `${limit} allowed`)
      : warning(
          name,
          `${limit} allowed: too few for a hundred VMs; ${enough} are plenty`,
          `${option}=${enough} in nexusd's systemd unit, or ulimit`,
        );
  return [
    check("open files", hard("Max open files"), enoughOpenFiles, "LimitNOFILE"),
    check("processes", hard("Max processes"), enoughProcesses, "LimitNPROC"),
  ];
}

async function readEach(directory: string): Promise<Map<string, string>> {
  const names = await fs.readdir(directory).catch((): string[] => []);
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, (await fs.readFile(join(directory, name), "utf8")).trim()] as const),
    ),
  );
}

const ok = (name: string, detail: string): Check => ({ name, state: "ok", detail, fix: null });
const warning = (name: string, detail: string, fix: string): Check => ({ name, state: "warning", detail, fix });
