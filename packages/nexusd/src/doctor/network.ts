import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Check, NetworkStatus } from "@workfort/contract";

/**
 * Whether guests can have a network here, and what of the host stands in its way. A veth pair is forwarded by the
 * host, whose firewalls may drop that; pasta's connections are the user's own, and no rule for forwarding meets them.
 */
/** `link` is the host's end of a veth pair; `root` the directory that holds the host's `etc`, `proc`, `run` and `sys`. */
export function checkNetwork(status: NetworkStatus, link: string, root = "/"): Check[] {
  const name = "network";
  if (status.mode === "off") return [ok(name, "off by configuration: VMs have no interface")];
  if (!status.usable || status.way === null)
    return [warning(name, `VMs get no interface: ${status.reason}`, status.hint)];
  const first = status.hint === null ? ok(name, status.reason) : warning(name, status.reason, status.hint);
  if (status.way === "pasta") return [first];
  return [first, ...checkFirewalls(link, root), checkForwarding(root)];
}

/** What other tools keep from being forwarded; their files say so, also to users who may not list rules. */
function checkFirewalls(link: string, root: string): Check[] {
  const has = (path: string): boolean => existsSync(join(root, path));
  const read = (path: string): string => (has(path) ? readFileSync(join(root, path), "utf8") : "");
  const checks: Check[] = [];
  if (/^\s*docker0:/m.test(read("proc/self/net/dev")))
    checks.push(
      warning(
        "Docker",
        "drops what it does not forward itself, the network of VMs too",
        // with Docker before 27 there is no such chain for IPv6, and nothing to open
        ["iptables", "ip6tables"]
          .map(
            (tables) =>
              `sudo ${tables} -I DOCKER-USER -i ${link} -j ACCEPT && sudo ${tables} -I DOCKER-USER -o ${link} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`,
          )
          .join("; "),
      ),
    );
  if (
    /^\s*ENABLED\s*=\s*yes/im.test(read("etc/ufw/ufw.conf")) &&
    !/^\s*DEFAULT_FORWARD_POLICY\s*=\s*"?ACCEPT/im.test(read("etc/default/ufw"))
  )
    checks.push(
      warning("ufw", "drops what is forwarded, the network of VMs too", `sudo ufw route allow in on ${link}`),
    );
  if (has("run/firewalld.pid") || has("run/firewalld"))
    checks.push(
      warning(
        "firewalld",
        "rejects what is forwarded for interfaces it does not know, the network of VMs too",
        `sudo firewall-cmd --permanent --zone=trusted --add-interface=${link} && sudo firewall-cmd --reload`,
      ),
    );
  return checks.length > 0 ? checks : [ok("firewalls", "neither Docker, ufw nor firewalld stands in the way")];
}

/** What the host forwards, or will be told to by the network helper while there is a network. */
function checkForwarding(root: string): Check {
  const name = "forwarding";
  const reads = (path: string, value: string): boolean =>
    existsSync(join(root, path)) && readFileSync(join(root, path), "utf8").trim() === value;
  const ipv4 = reads("proc/sys/net/ipv4/ip_forward", "1")
    ? "IPv4 is on"
    : "IPv4 is switched on while VMs have a network, on the interfaces that lead outside";
  if (!hasIpv6Route(root)) return ok(name, `${ipv4}; the host has no way out by IPv6, nor have guests`);
  if (reads("proc/sys/net/ipv6/conf/all/forwarding", "1")) return ok(name, `${ipv4}; IPv6 is on`);
  if (existsSync(join(root, "proc/sys/net/ipv6/conf/all/force_forwarding"))) return ok(name, `${ipv4}; IPv6 the same`);
  return warning(
    name,
    `${ipv4}; guests have no IPv6: before Linux 6.17 it is forwarded on all interfaces or on none, and on would make the host deaf to its router's advertisements`,
    "for IPv6 in guests: sudo sysctl -w net.ipv6.conf.all.accept_ra=2 net.ipv6.conf.all.forwarding=1",
  );
}

function hasIpv6Route(root: string): boolean {
  const path = join(root, "proc/self/net/ipv6_route");
  if (!existsSync(path)) return false;
  const rows = readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  return rows.some((row) => /^0{32}$/.test(row[0] ?? "") && row[1] === "00" && row.at(-1) !== "lo");
}

const ok = (name: string, detail: string): Check => ({ name, state: "ok", detail, fix: null });
const warning = (name: string, detail: string, fix: string | null): Check => ({ name, state: "warning", detail, fix });
