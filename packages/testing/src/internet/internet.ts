import { promises as fs } from "node:fs";
import { join } from "node:path";
import { testEnvironment } from "../environment.ts";
import { eventually } from "../eventually.ts";
import {
  closedPlaces,
  datagramPorts,
  echoPorts,
  internetAddresses,
  knownResolvers,
  machine,
  machineInside,
  mirrorNames,
  places,
  resolver,
  resolverNames,
  router,
  sharedNames,
} from "./addresses.ts";
import { makeCertificates } from "./certificates.ts";
import { firewallRules, type Firewall } from "./host-rules.ts";
import { HostState } from "./host-state.ts";
import { Namespace } from "./namespace.ts";
import { arrivals, forgetArrivals, observe, type Arrival } from "./observer.ts";
import type { DnsAnswer } from "./world/dns-zone.ts";

/**
 * An internet in two network namespaces, for one test:
 *
 *     tested machine (`host`)                    the rest (`outside`)
 *     wire 192.0.2.2 ───────────────────────── wire 192.0.2.1, resolver 192.0.2.53
 *     lan0 10.20.0.1, docker0 172.17.0.1        all other addresses, private ones and metadata, too
 *     servers that guests must not reach        web, names, echoes; whatever arrives is written down
 *
 * Nothing leaves the machine. When the test is over, nothing is left; what should not be there fails it.
 */
export interface InternetOptions {
  firewall?: Firewall;
  /** names beside the usual ones, which need certificates */
  names?: readonly string[];
  /** directories of files, and the names they are served under */
  sites?: Record<string, string>;
}

export class Internet {
  /** the namespace in which the tested daemon runs */
  readonly host: Namespace;
  readonly outside: Namespace;
  readonly directory: string;
  readonly #hostState: HostState;

  private constructor(host: Namespace, outside: Namespace, directory: string, hostState: HostState) {
    this.host = host;
    this.outside = outside;
    this.directory = directory;
    this.#hostState = hostState;
  }

  static async make(options: InternetOptions = {}): Promise<Internet> {
    const directory = await fs.mkdtemp(join(testEnvironment().root, "internet"));
    await fs.chmod(directory, 0o755);
    const names = ["default.test", ...sharedNames, ...resolverNames, ...mirrorNames, ...(options.names ?? [])];
    const [host, outside] = await Promise.all([Namespace.make(), Namespace.make(), makeCertificates(directory, names)]);
    try {
      await connect(host, outside);
      await observe(outside);
      await observe(host);
      await host.nft(firewallRules[options.firewall ?? "plain"]);
      if (options.firewall === "docker") await host.run(["sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"]);
      await startServers(host, outside, directory, options.sites ?? {});
      const internet = new Internet(host, outside, directory, await HostState.of(host));
      await internet.#nameTheUsual();
      return internet;
    } catch (error) {
      await Promise.all([host.remove(), outside.remove(), fs.rm(directory, { recursive: true, force: true })]);
      throw error;
    }
  }

  /** file with the authority that all certificates are by */
  get authority(): string {
    return join(this.directory, "ca.pem");
  }

  /** Sets what a name is answered with. */
  async setName(name: string, ...answers: DnsAnswer[]): Promise<void> {
    await this.outside.ask.setName(name, answers);
  }

  /** Gives a name the addresses of a place. */
  async setPlace(name: string, place: { ipv4: string; ipv6: string }, ttl = 60): Promise<void> {
    await this.setName(name, {
      records: [
        { type: "A", data: place.ipv4, ttl },
        { type: "AAAA", data: place.ipv6, ttl },
      ],
    });
  }

  /** Packets that have come to the outside since it was told to forget. */
  async arrivals(): Promise<Arrival[]> {
    return await arrivals(this.outside);
  }

  /** Packets that the tested machine has had from anywhere. */
  async arrivalsAtHost(): Promise<Arrival[]> {
    return await arrivals(this.host);
  }

  async forget(): Promise<void> {
    await Promise.all([
      this.outside.ask.forget(),
      this.host.ask.forget(),
      forgetArrivals(this.outside),
      forgetArrivals(this.host),
    ]);
  }

  /** What differs on the tested machine from what was there at first; nothing where we left no trace. */
  async changesOfHost(): Promise<string[]> {
    return await this.#hostState.changes(this.host);
  }

  /** Takes it all away, and says what should not have been there any more. */
  async remove(): Promise<string[]> {
    const left = [...(await this.changesOfHost()), ...(await this.#hostState.processes(this.host))];
    await Promise.all([this.host.remove(), this.outside.remove()]);
    await fs.rm(this.directory, { recursive: true, force: true });
    return left;
  }

  async #nameTheUsual(): Promise<void> {
    for (const name of sharedNames) await this.setPlace(name, places.shared);
    for (const name of resolverNames) await this.setPlace(name, places.foreignResolver);
    for (const name of mirrorNames) await this.setPlace(name, places.mirrors);
  }
}

/** `wire`, `lan0` and `docker0` */
const linksOfHost = 3;

async function connect(host: Namespace, outside: Namespace): Promise<void> {
  await outside.ip([
    `link add wire type veth peer name wire netns ${host.pid}`,
    `address add ${router.ipv4}/24 dev wire`,
    `address add ${resolver.ipv4}/24 dev wire`,
    `address add ${router.ipv6}/64 dev wire nodad`,
    `address add ${resolver.ipv6}/64 dev wire nodad`,
    "link set wire up",
    ...internetAddresses.map((address) => `address add ${address}/${address.includes(":") ? "128" : "32"} dev lo`),
  ]);
  await host.ip([
    `address add ${machine.ipv4}/24 dev wire`,
    `address add ${machine.ipv6}/64 dev wire nodad`,
    "link set wire up",
    "link add lan0 type bridge",
    "link set lan0 up",
    "link add docker0 type bridge",
    "link set docker0 up",
    ...machineInside.map((address) => {
      const six = address.includes(":");
      return `address add ${address}/${six ? "64" : "24"} dev ${address.startsWith("172.") ? "docker0" : "lan0"}${six ? " nodad" : ""}`;
    }),
    `route add default via ${router.ipv4}`,
  ]);
  // as systemd sets it on ordinary hosts: pasta pings for guests as a user may
  await host.run(["sysctl", "--quiet", "--write", "net.ipv4.ping_group_range=0 2147483647"]);
  await host.run(["ip", "-6", "route", "add", "default", "via", router.ipv6]);
  await eventually(
    () => host.run(["ip", "address"]),
    (text) => !/tentative|NO-CARRIER|state DOWN/.test(text) && text.match(/inet6 fe80/g)?.length === linksOfHost,
  );
}

async function startServers(
  host: Namespace,
  outside: Namespace,
  directory: string,
  sites: Record<string, string>,
): Promise<void> {
  await outside.startServers({
    httpPorts: [80, 8080],
    tlsPorts: [443, 8443],
    echoPorts,
    datagrams: { addresses: [resolver.ipv4, resolver.ipv6, ...internetAddresses], ports: datagramPorts },
    resolvers: [
      ...[resolver, places.foreignResolver].flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
      ...knownResolvers,
      ...closedPlaces,
    ],
    certificates: directory,
    sites,
  });
  await host.startServers({
    httpPorts: [80, 8080, 11_434],
    tlsPorts: [443],
    echoPorts: [22, 4000, 5432],
    datagrams: { addresses: [machine.ipv4, machine.ipv6, ...machineInside], ports: [53, ...datagramPorts] },
    resolvers: [],
    certificates: directory,
    sites: {},
  });
}

/** Runs a test with an internet, and takes it away. */
export async function withInternet(
  options: InternetOptions,
  use: (internet: Internet) => Promise<void>,
): Promise<void> {
  const internet = await Internet.make(options);
  let failure: { error: unknown } | null = null;
  try {
    await use(internet);
  } catch (error) {
    failure = { error };
  }
  const left = await internet.remove();
  if (failure !== null) throw failure.error;
  if (left.length > 0) throw new Error(`left over on the tested machine:\n${left.join("\n")}`);
}
