import type { Subnets } from "@workfort/core/network/addresses.ts";
import { parseRange } from "@workfort/core/network/ip.ts";
import { runTool } from "../process/run.ts";
import { findTool } from "./ways.ts";

/** The host's routes that guests' subnets would hide, each as `ip` prints it. */
async function routeConflicts(subnets: Subnets): Promise<string[]> {
  const ip = (await findTool("ip")) ?? "ip";
  const list = async (family: "-4" | "-6"): Promise<string[]> => {
    const { stdout } = await runTool([ip, family, "-o", "route", "show", "table", "main"], { timeoutMs: 10_000 });
    return stdout.split("\n").filter((line) => line.trim() !== "");
  };
  return [...conflictsAmong(await list("-4"), subnets.ipv4), ...conflictsAmong(await list("-6"), subnets.ipv6)];
}

/** Those of `routes` that lead to addresses of the subnet; a default route leads everywhere and does not count. */
export function conflictsAmong(routes: readonly string[], subnet: string): string[] {
  const own = parseRange(subnet);
  return routes.filter((line) => {
    // `unreachable 10.0.0.0/8 …`, `10.0.0.0/8 dev …`
    const [first, second] = line
      .trim()
      .split(/\s+/)
      .map((word) => parseRange(word));
    const route = first ?? second ?? null;
    return (
      own !== null &&
      route !== null &&
      route.family === own.family &&
      route.first <= own.last &&
      own.first <= route.last
    );
  });
}

/** Why guests can have no addresses here; null where they can. */
export async function subnetTrouble(subnets: Subnets): Promise<{ reason: string; hint: string } | null> {
  const [first] = await routeConflicts(subnets);
  if (first === undefined) return null;
  const isIpv6 = conflictsAmong([first], subnets.ipv6).length > 0;
  const [subnet, key] = isIpv6 ? [subnets.ipv6, "ipv6Subnet"] : [subnets.ipv4, "ipv4Subnet"];
  return {
    reason: `the guests' subnet ${subnet} lies in a network of the host: ${first.trim()}`,
    hint: `choose another in nexus.yaml: network: { ${key}: … }`,
  };
}
