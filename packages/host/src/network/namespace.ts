import { promises as fs } from "node:fs";
import { NetworkWay } from "@workfort/contract";
import * as z from "zod";
import { readTextIfThere, writeAtomically } from "../files.ts";
import type { Paths } from "../paths.ts";
import { KeptProcess, type KeptNeeds } from "./kept-process.ts";

/**
 * The workplace's network namespace, and as a user the user namespace over it, in which we are root.
 *
 * A process that does nothing keeps them; it is the *holder*. Should it be killed, the namespaces live as long as any
 * process in them, a VMM or the gateway: they are found again by their numbers, which are written down, and get a new
 * holder. So no second namespace is made while a VM lives in the first.
 */
export interface Namespace {
  /** of the holder */
  pid: number;
  /** paths below `/proc` */
  network: string;
  /** null where it is the daemon's own */
  user: string | null;
  /** how its uplink was made; null before it is */
  way: NetworkWay | null;
}

const Known = z.object({
  /** for example `net:[4026532441]` */
  network: z.string(),
  user: z.string().nullable(),
  way: NetworkWay.nullable(),
});
type Known = z.infer<typeof Known>;

const sayAndSleep = ["sh", "-c", "echo ready; exec sleep infinity"] as const;
const memoryMiB = 16;

export class NamespaceHolder {
  readonly #paths: Paths["network"];
  readonly #isRoot: boolean;
  readonly process: KeptProcess;

  constructor(needs: KeptNeeds & { paths: Paths["network"]; isRoot: boolean }) {
    this.#paths = needs.paths;
    this.#isRoot = needs.isRoot;
    this.process = new KeptProcess(needs, {
      directory: needs.paths.holder,
      name: "holder",
      title: "the namespace's holder",
      memoryMiB,
    });
  }

  /** The namespace where it lives; null where there is none. */
  async find(): Promise<Namespace | null> {
    const known = await this.#known();
    const held = await this.process.find();
    if (held !== null) {
      // a daemon that died may not have written down which one it had made
      const isKnown = known !== null && (await fs.readlink(`/proc/${held.pid}/ns/net`)) === known.network;
      return isKnown ? this.#describe(held.pid, known) : await this.#note(held.pid, null);
    }
    if (known === null) return null;
    const pid = await findProcessIn(known);
    if (pid === null) {
      await fs.rm(this.#paths.namespace, { force: true });
      return null;
    }
    const namespaces = { network: `/proc/${pid}/ns/net`, user: this.#isRoot ? null : `/proc/${pid}/ns/user` };
    const holder = await this.process.start(sayAndSleep, { namespaces, said: "ready" });
    return this.#describe(holder.pid, known);
  }

  async findOrMake(): Promise<Namespace> {
    const found = await this.find();
    if (found !== null) return found;
    const apart = this.#isRoot ? ["--net"] : ["--user", "--map-root-user", "--net"];
    const { pid } = await this.process.start(["unshare", ...apart, "--", ...sayAndSleep], { said: "ready" });
    return await this.#note(pid, null);
  }

  async setWay(namespace: Namespace, way: NetworkWay | null): Promise<Namespace> {
    return await this.#note(namespace.pid, way);
  }

  /** Ends the holder; the namespace goes with the last process in it. */
  async end(): Promise<boolean> {
    const ended = await this.process.end();
    await fs.rm(this.#paths.namespace, { force: true });
    return ended;
  }

  async #known(): Promise<Known | null> {
    const text = await readTextIfThere(this.#paths.namespace);
    const parsed = text === null ? null : Known.safeParse(JSON.parse(text));
    return parsed?.success === true ? parsed.data : null;
  }

  async #note(pid: number, way: NetworkWay | null): Promise<Namespace> {
    const known: Known = {
      network: await fs.readlink(`/proc/${pid}/ns/net`),
      user: this.#isRoot ? null : await fs.readlink(`/proc/${pid}/ns/user`),
      way,
    };
    await writeAtomically(this.#paths.namespace, JSON.stringify(known));
    return this.#describe(pid, known);
  }

  #describe(pid: number, { way }: Known): Namespace {
    return { pid, network: `/proc/${pid}/ns/net`, user: this.#isRoot ? null : `/proc/${pid}/ns/user`, way };
  }
}

/** Any process that lives in a namespace; null where there is none that we may look at. */
async function findProcessIn(known: Known): Promise<number | null> {
  for (const name of await fs.readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const at = async (kind: "net" | "user"): Promise<string> =>
      await fs.readlink(`/proc/${name}/ns/${kind}`).catch(() => "");
    if ((await at("net")) === known.network && (known.user === null || (await at("user")) === known.user))
      return Number(name);
  }
  return null;
}

/** Words before a program that is to run in a namespace with our rights over it. */
export function enterWords({ network, user }: Pick<Namespace, "network" | "user">): [string, ...string[]] {
  const who = user === null ? [] : ["--preserve-credentials", `--user=${user}`];
  return ["nsenter", ...who, `--net=${network}`, "--"];
}
