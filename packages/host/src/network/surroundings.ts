import { promises as fs } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { isIP } from "node:net";
import { readTextIfThere } from "../files.ts";

/** What of the host the network depends on, and what changes when a laptop changes its place. */
export interface Surroundings {
  /** whom our DNS asks */
  dnsServers: string[];
  /** why there are none; null where there are some */
  dnsTrouble: string | null;
  /** of the host's own interfaces, but for loopback and link-local ones */
  hostAddresses: string[];
  /** interfaces of the host's default routes */
  outward: string[];
}

export async function readSurroundings(configured: readonly string[] | null): Promise<Surroundings> {
  return {
    ...(configured === null ? await hostDnsServers() : { dnsServers: [...configured], dnsTrouble: null }),
    hostAddresses: hostAddresses(),
    outward: await outwardInterfaces(),
  };
}

function hostAddresses(): string[] {
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    // ends of links to workplaces, which are private and closed by their own rules
    /^nx[0-9a-f]{6}$/.test(name) ? [] : (addresses ?? []),
  );
  return all.filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address)).map(({ address }) => address);
}

async function outwardInterfaces(): Promise<string[]> {
  const table = async (name: string): Promise<string[][]> =>
    ((await readTextIfThere(`/proc/self/net/${name}`)) ?? "").split("\n").map((line) => line.trim().split(/\s+/));
  const ipv4 = (await table("route"))
    .filter((row) => row[1] === "00000000" && row[7] === "00000000")
    .map((row) => row[0]);
  const ipv6 = (await table("ipv6_route")).filter((row) => /^0{32}$/.test(row[0] ?? "") && row[1] === "00");
  const names = [...ipv4, ...ipv6.map((row) => row.at(-1))].filter((name) => name !== undefined);
  return [...new Set(names)].filter((name) => name !== "lo").toSorted((one, other) => one.localeCompare(other));
}

/** `root` is the directory that holds the host's `etc` and `run`. */
export async function hostDnsServers(root = "/"): Promise<{ dnsServers: string[]; dnsTrouble: string | null }> {
  // where systemd-resolved is asked by way of loopback, it says there whom it asks itself
  for (const path of ["etc/resolv.conf", "run/systemd/resolve/resolv.conf"]) {
    const text = (await fs.readFile(join(root, path), "utf8").catch(() => "")) as string;
    const dnsServers = reachableServers(text);
    if (dnsServers.length > 0) return { dnsServers, dnsTrouble: null };
  }
  return { dnsServers: [], dnsTrouble: "the host's resolv.conf names no DNS server but its own loopback addresses" };
}

/** Those that can be reached from another namespace: neither loopback nor bound to an interface. */
function reachableServers(text: string): string[] {
  const named = text.split("\n").flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  return named.filter((address) => isIP(address) !== 0 && !/^(127\.|::1$|fe[89ab]|0\.0\.0\.0$|::$)/i.test(address));
}
