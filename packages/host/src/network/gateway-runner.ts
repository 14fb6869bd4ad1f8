import { promises as fs } from "node:fs";
import { dirname } from "node:path";
import { GatewayClient } from "./gateway-client.ts";
import { gatewayProtocol } from "./gateway-protocol.ts";
import { KeptProcess, type KeptNeeds } from "./kept-process.ts";
import { enterWords, type Namespace } from "./namespace.ts";

/**
 * The gateway (packages/gateway), run in the workplace's namespace by its root. Of all that root may it keeps what its
 * work needs: to change interfaces and rules there, and to listen on port 53.
 */
const keptCapabilities = ["net_admin", "net_bind_service"];
/** a thousand guests with long lists, and Node itself */
const memoryMiB = 1024;

export class GatewayRunner {
  readonly process: KeptProcess;
  readonly client: GatewayClient;
  readonly #control: string;
  readonly #program: readonly [string, ...string[]];

  constructor(needs: KeptNeeds & { control: string; program: readonly [string, ...string[]] }) {
    this.#control = needs.control;
    this.#program = needs.program;
    this.client = new GatewayClient(needs.control);
    this.process = new KeptProcess(needs, {
      directory: dirname(needs.control),
      name: "gateway",
      title: "the gateway",
      memoryMiB,
    });
  }

  /** Finds the one that runs in the namespace, or starts one. */
  async bringUp(namespace: Namespace): Promise<void> {
    if ((await this.process.find()) !== null) {
      const isOurs = await this.client.status().then(
        ({ protocol }) => protocol === gatewayProtocol,
        () => false, // it hangs, or speaks otherwise
      );
      if (isOurs && (await this.#isIn(namespace))) return;
      await this.process.end();
    }
    const set = [`-all`, ...keptCapabilities.map((name) => `+${name}`)].join(",");
    const [enter, ...entered] = enterWords(namespace);
    await this.process.start(
      [
        enter,
        ...entered,
        "setpriv",
        "--bounding-set",
        set,
        "--inh-caps",
        set,
        "--",
        ...this.#program,
        "--control",
        this.#control,
      ],
      { said: "ready" },
    );
  }

  async #isIn({ network }: Namespace): Promise<boolean> {
    const running = await this.process.find();
    if (running === null) return false;
    const [own, wanted] = await Promise.all([fs.readlink(`/proc/${running.pid}/ns/net`), fs.readlink(network)]);
    return own === wanted;
  }
}
