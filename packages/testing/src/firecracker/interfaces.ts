import { once } from "node:events";
import { createServer, type Server } from "node:net";
import type { Interface, RateLimiter } from "./bodies.ts";
import { normalLimiter } from "./drives.ts";
import { Refusal } from "./refusal.ts";

/**
 * The network interfaces of a VM. There is no tap behind them and the guest sees none: an abstract socket of the
 * tap's name stands for having it open, which one process can at a time.
 */
const maxTapName = 15;

export class Interfaces {
  #interfaces: { config: Interface; tap: Server | null }[] = [];

  get all(): readonly Interface[] {
    return this.#interfaces.map(({ config }) => config);
  }

  async put(config: Interface): Promise<void> {
    const others = this.#interfaces.filter((one) => one.config.iface_id !== config.iface_id);
    if (config.guest_mac !== null && others.some((one) => one.config.guest_mac === config.guest_mac))
      throw new Refusal(`Network config error: The MAC address is already in use: ${config.guest_mac}`);
    const failed = "Network config error: Could not create the network device:";
    if (config.mtu !== null && config.mtu < 68)
      throw new Refusal(`${failed} MTU ${config.mtu} is out of range [68, 65535]`);
    if (Buffer.byteLength(config.host_dev_name) > maxTapName)
      throw new Refusal(`${failed} Open tap device failed: Invalid interface name`);
    for (const one of this.#interfaces) if (!others.includes(one)) one.tap?.close();
    this.#interfaces = others;
    const tap = config.host_dev_name === "" ? null : await openTap(config.host_dev_name, failed);
    const normal = {
      ...config,
      rx_rate_limiter: normalLimiter(config.rx_rate_limiter),
      tx_rate_limiter: normalLimiter(config.tx_rate_limiter),
    };
    this.#interfaces.push({ config: normal, tap });
  }

  update(change: { iface_id: string; rx_rate_limiter: RateLimiter | null; tx_rate_limiter: RateLimiter | null }): void {
    const found = this.#interfaces.find(({ config }) => config.iface_id === change.iface_id);
    if (found === undefined)
      throw new Refusal(
        "Network config error: Unable to update the net device: Failed perform action on device: Device not found",
      );
    if (change.rx_rate_limiter !== null) found.config.rx_rate_limiter = normalLimiter(change.rx_rate_limiter);
    if (change.tx_rate_limiter !== null) found.config.tx_rate_limiter = normalLimiter(change.tx_rate_limiter);
  }
}

async function openTap(name: string, failed: string): Promise<Server> {
  const tap = createServer();
  tap.listen(`\0workfort-double-tap-${name}`);
  try {
    await once(tap, "listening");
  } catch {
    throw new Refusal(
      `${failed} Open tap device failed: Error while creating ifreq structure: Resource busy (os error 16). ` +
        `Invalid TUN/TAP Backend provided by ${name}. Check our documentation on setting up the network devices.`,
    );
  }
  return tap.unref();
}
