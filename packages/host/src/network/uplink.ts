import type { NetworkWay } from "@workfort/contract";
import { promises as fs } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";
import { runTool } from "../process/run.ts";
import type { KeptProcess } from "./kept-process.ts";
import type { Namespace } from "./namespace.ts";
import { linkOf } from "./tag.ts";

/** How the workplace's namespace reaches the outside. */
export interface Uplink {
  readonly way: NetworkWay;
  /** Makes it, or mends it where the host has changed; may be repeated. */
  up(namespace: Namespace): Promise<void>;
  /** What is there of it, for messages; null where there is nothing. */
  find(): Promise<string | null>;
  /** False where others have taken a part of it away, as who flushes the host's rules does. */
  isWhole(): Promise<boolean>;
  down(): Promise<void>;
  /** a process that may end; null where there is none */
  readonly process: KeptProcess | null;
}

/** the interface's name in the namespace, in all ways */
const inside = "uplink";
const helperBoundMs = 30_000;

/** A veth pair, made by the network helper: run by root, or installed for the user. */
export class VethUplink implements Uplink {
  readonly way: "root" | "helper";
  readonly process = null;
  readonly #program: string;
  readonly #tag: string;

  constructor(about: { way: "root" | "helper"; program: string; tag: string }) {
    this.way = about.way;
    this.#program = about.program;
    this.#tag = about.tag;
  }

  async up({ pid }: Namespace): Promise<void> {
    await this.#run("up", String(pid));
  }

  async find(): Promise<string | null> {
    return (await this.#state()) === "down" ? null : linkOf(this.#tag);
  }

  async isWhole(): Promise<boolean> {
    return (await this.#state()) === "up";
  }

  async down(): Promise<void> {
    await this.#run("down");
  }

  async #state(): Promise<z.infer<typeof LinkStatus>["state"]> {
    return LinkStatus.parse(JSON.parse(await this.#run("status"))).state;
  }

  async #run(word: string, ...more: string[]): Promise<string> {
    const { stdout } = await runTool([this.#program, word, this.#tag, ...more], { timeoutMs: helperBoundMs });
    return stdout;
  }
}

const LinkStatus = z.object({ state: z.enum(["up", "down", "broken"]) });

/** what pasta needs in order to give nothing of the host: no port either way, and no address that stands for it */
export const pastaOptions = [
  "--config-net",
  "--foreground",
  "--quiet",
  "--stderr",
  "--no-map-gw",
  "--no-dhcp",
  "--no-dhcpv6",
  "--no-ra",
] as const;
const noPorts = ["-t", "none", "-u", "none", "-T", "none", "-U", "none"];
/** for its interface to have a route, ms */
const pastaBoundMs = 15_000;
const lookAgainMs = 10;

/** pasta, which translates between the namespace and sockets of the user's own. */
export class PastaUplink implements Uplink {
  readonly way = "pasta";
  readonly process: KeptProcess;
  readonly #program: string;
  readonly #mtu: number;

  constructor(about: { program: string; process: KeptProcess; mtu: number }) {
    this.#program = about.program;
    this.process = about.process;
    this.#mtu = about.mtu;
  }

  async up({ pid, network, user }: Namespace): Promise<void> {
    if ((await this.process.find()) === null)
      await this.process.start([
        this.#program,
        ...pastaOptions,
        ...noPorts,
        "--ns-ifname",
        inside,
        "--mtu",
        String(this.#mtu),
        ...(user === null ? [] : ["--userns", user]),
        "--netns",
        network,
      ]);
    await this.#awaitInterface(pid);
  }

  async find(): Promise<string | null> {
    const running = await this.process.find();
    return running === null ? null : `pasta ${running.pid}`;
  }

  /** Who watches its process starts it again. */
  isWhole(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async down(): Promise<void> {
    await this.process.end();
  }

  /** It says nothing when it is ready; the namespace's own table of interfaces does. */
  async #awaitInterface(pid: number): Promise<void> {
    const deadline = performance.now() + pastaBoundMs;
    for (;;) {
      const devices = await fs.readFile(`/proc/${pid}/net/dev`, "utf8");
      if (devices.includes(`${inside}:`)) return;
      if ((await this.process.find()) === null || performance.now() > deadline) {
        const why = await this.process.lastWords();
        await this.process.end();
        throw new Error(`pasta has not joined the network to the host${why}`);
      }
      await delay(lookAgainMs);
    }
  }
}
