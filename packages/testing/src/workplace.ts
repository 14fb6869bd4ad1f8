import type { Denial, SetNetworkPolicy, VmNetwork, VmNetworkCounters } from "@workfort/contract";
import { withDaemon, type DaemonOptions, type TestDaemon } from "./daemon.ts";
import { eventually } from "./eventually.ts";
import { attempt, attemptOne, type Attempt, type Outcome } from "./guest/probe.ts";
import { resolver } from "./internet/addresses.ts";
import { asStranger, ownPlaces, strangerUid } from "./own-places.ts";
import { withInternet, type Internet, type InternetOptions } from "./internet/internet.ts";

/** A daemon on the tested machine of an internet, and VMs whose network is looked at from inside. */

export interface WorkplaceOptions extends InternetOptions {
  /** by default `root`; in the others the daemon runs as a user without any privilege */
  way?: "root" | "pasta" | "helper";
  /** further lines of the configuration's section `network` */
  network?: readonly string[];
  env?: Record<string, string>;
}

/** root has installed the helper for the user, as it does on a host */
const withHelper = `${ownPlaces}
SUDO_UID=${strangerUid} "$@" network setup
${asStranger}`;

/** A VM of the test, as its network is tried from inside. */
export class Guest {
  readonly daemon: TestDaemon;
  readonly name: string;
  readonly id: string;
  readonly network: VmNetwork;

  constructor(daemon: TestDaemon, name: string, id: string, network: VmNetwork) {
    this.daemon = daemon;
    this.name = name;
    this.id = id;
    this.network = network;
  }

  /** Tries all at once. */
  async tries(...attempts: readonly Attempt[]): Promise<Outcome[]> {
    return await attempt(this.daemon, this.name, attempts);
  }

  async try(one: Attempt): Promise<Outcome> {
    return await attemptOne(this.daemon, this.name, one);
  }

  /** Output of a shell's command; throws where it fails. */
  async sh(script: string, timeoutMs = 120_000): Promise<string> {
    const body = { argv: ["sh", "-c", script], timeoutMs };
    const { exitCode, stdout, stderr } = await this.daemon.client.call("vm.exec", { params: { vm: this.name }, body });
    if (exitCode !== 0) throw new Error(`${script} ended with ${exitCode} in ${this.name}: ${stderr}${stdout}`);
    return stdout;
  }

  async setPolicy(body: SetNetworkPolicy): Promise<void> {
    await this.daemon.client.call("vm.policy.set", { params: { vm: this.name }, body });
  }

  async counters(): Promise<VmNetworkCounters> {
    const { counters } = await this.daemon.client.call("vm.network.get", { params: { vm: this.name } });
    if (counters === null) throw new Error(`${this.name} has no interface`);
    return counters;
  }

  /** What it was denied, oldest first, behind a number. */
  async denials(after = 0): Promise<Denial[]> {
    return await listDenials(this.daemon, { vm: this.name, after: String(after) });
  }

  /** Waits until something that was denied is in the log. */
  async logs(after: number, is: (denial: Denial) => boolean): Promise<Denial> {
    const all = await eventually(
      () => this.denials(after),
      (denials) => denials.some(is),
      20_000,
    );
    const found = all.find(is);
    if (found === undefined) throw new Error("it was there a moment ago");
    return found;
  }
}

export class Workplace {
  readonly internet: Internet;
  readonly daemon: TestDaemon;

  constructor(internet: Internet, daemon: TestDaemon) {
    this.internet = internet;
    this.daemon = daemon;
  }

  /** Creates and starts a VM; the image must be there. */
  async startVm(
    name: string,
    policy: SetNetworkPolicy,
    options: { memoryMiB?: number; image?: string } = {},
  ): Promise<Guest> {
    const { memoryMiB = 192, image = "base" } = options;
    const body = { name, image, memoryMiB, network: { policy } };
    const { id } = await this.daemon.client.call("vm.create", { body });
    await this.daemon.client.call("vm.start", { params: { vm: name }, body: {} });
    return await this.guest(name, id);
  }

  async guest(name: string, id: string): Promise<Guest> {
    const { network } = await this.daemon.client.call("vm.network.get", { params: { vm: name } });
    if (network === null || !network.attached) {
      const { warnings } = await this.daemon.client.call("vm.get", { params: { vm: name } });
      throw new Error(`${name} has no network: ${JSON.stringify(warnings)}`);
    }
    return new Guest(this.daemon, name, id, network);
  }

  /** Number of the newest denial. */
  async lastDenial(): Promise<number> {
    return (await listDenials(this.daemon, {})).at(-1)?.number ?? 0;
  }
}

async function listDenials(daemon: TestDaemon, query: { vm?: string; after?: string }): Promise<Denial[]> {
  const { body } = await daemon.client.bytes("network.log", { query });
  const text = Buffer.concat(await Array.fromAsync(body)).toString();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Denial);
}

/** Runs a test with an internet and a daemon in it; afterwards the tested machine has to be as it was. */
export async function withWorkplace(
  options: WorkplaceOptions,
  use: (workplace: Workplace) => Promise<void>,
): Promise<void> {
  const { way = "root", network = [], env, ...internetOptions } = options;
  await withInternet(internetOptions, async (internet) => {
    const stranger =
      way === "root" ? [] : ["unshare", "--mount", "--", "sh", "-c", way === "helper" ? withHelper : asStranger, "sh"];
    const lines = [`  mode: ${way}`, `  dns: ["${resolver.ipv4}"]`, ...network.map((line) => `  ${line}`)];
    const daemonOptions: DaemonOptions = {
      config: `api:\n  listen: off\nnetwork:\n${lines.join("\n")}\n`,
      launch: [...internet.host.enter, ...stranger],
      ...(way === "root" ? {} : { uid: strangerUid }),
      ...(env === undefined ? {} : { env }),
    };
    await withDaemon(daemonOptions, async (daemon) => {
      await daemon.importBase();
      await use(new Workplace(internet, daemon));
    });
  });
}
