import { promises as fs } from "node:fs";
import { eventually } from "../eventually.ts";
import type { Namespace } from "./namespace.ts";
import { otherRules } from "./observer.ts";

/** what of the tested machine must be the same before and after */
const views = {
  links: ["ip", "-brief", "link", "show"],
  addresses: ["ip", "-brief", "address", "show"],
  routes: ["ip", "route", "show", "table", "all"],
  "IPv6 routes": ["ip", "-6", "route", "show", "table", "all"],
  "policy routing": ["ip", "rule", "show"],
} as const;

/** The network of the tested machine at one moment, as its own tools show it. */
export class HostState {
  readonly #texts: Readonly<Record<string, string>>;

  private constructor(texts: Readonly<Record<string, string>>) {
    this.#texts = texts;
  }

  static async of(host: Namespace): Promise<HostState> {
    const texts: Record<string, string> = { rules: await otherRules(host) };
    for (const [name, argv] of Object.entries(views)) texts[name] = await host.run(argv);
    return new HostState(texts);
  }

  /** Names of what differs, with both texts. */
  async changes(host: Namespace): Promise<string[]> {
    const now = await HostState.of(host);
    return Object.entries(this.#texts)
      .filter(([name, text]) => now.#texts[name] !== text)
      .map(([name, text]) => `${name} were:\n${text}\nand are:\n${now.#texts[name]}`);
  }

  /** Processes that are still in the machine's namespace, but for its own servers; those that are ending get their time. */
  async processes(host: Namespace): Promise<string[]> {
    const own = await fs.readlink(host.path);
    const list = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const pid of await fs.readdir("/proc")) {
        if (!/^\d+$/.test(pid) || Number(pid) === host.pid) continue;
        const namespace = await fs.readlink(`/proc/${pid}/ns/net`).catch(() => "");
        if (namespace !== own) continue;
        const line = await fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
        if (line !== "") found.push(`process ${pid}: ${line.replaceAll("\0", " ")}`);
      }
      return found;
    };
    return await eventually(list, (left) => left.length === 0, 5_000).catch(list);
  }
}
