import { closeSync, constants, openSync } from "node:fs";
import { ioctl } from "@workfort/host/native/libc.ts";
import type { Interface, RateLimiter } from "./bodies.ts";
import { normalLimiter } from "./drives.ts";
import { Refusal, systemWords } from "./refusal.ts";

/**
 * The network interfaces of a VM, each with its tap, which is opened when the interface is asked for and handed to the
 * guest. As with Firecracker, a tap that is not there is made, down, by whoever may.
 */
const maxTapName = 15;
/** linux/if_tun.h: TUNSETIFF, and IFF_TAP | IFF_NO_PI | IFF_VNET_HDR */
const setInterface = 0x400454ca;
const tapFlags = 0x0002 | 0x1000 | 0x4000;
/** of `struct ifreq`, bytes */
const requestBytes = 40;
const flagsOffset = 16;

export class Interfaces {
  #interfaces: { config: Interface; tap: number }[] = [];

  get all(): readonly Interface[] {
    return this.#interfaces.map(({ config }) => config);
  }

  /** for the guest: the open tap of each */
  get taps(): { tap: number; macAddress: string | null }[] {
    return this.#interfaces.map(({ config, tap }) => ({ tap, macAddress: config.guest_mac }));
  }

  async put(config: Interface): Promise<void> {
    const others = this.#interfaces.filter((one) => one.config.iface_id !== config.iface_id);
    if (config.guest_mac !== null && others.some((one) => one.config.guest_mac === config.guest_mac))
      throw new Refusal(`Network config error: The MAC address is already in use: ${config.guest_mac}`);
    const failed = "Network config error: Could not create the network device:";
    if (Buffer.byteLength(config.host_dev_name) > maxTapName)
      throw new Refusal(`${failed} Open tap device failed: Invalid interface name`);
    for (const one of this.#interfaces) if (!others.includes(one)) closeSync(one.tap);
    this.#interfaces = others;
    const tap = await openTap(config.host_dev_name, failed);
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

/** The descriptor of a tap, for this process alone; throws Refusal. */
export async function openTap(name: string, failed: string): Promise<number> {
  let tap: number;
  try {
    tap = openSync("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw new Refusal(`${failed} Open tap device failed: Couldn't open /dev/net/tun: ${systemWords(error)}`);
  }
  const request = Buffer.alloc(requestBytes);
  request.write(name, "latin1");
  request.writeUInt16LE(tapFlags, flagsOffset);
  try {
    await ioctl(tap, setInterface, request, name);
    return tap;
  } catch (error) {
    closeSync(tap);
    throw new Refusal(
      `${failed} Open tap device failed: Error while creating ifreq structure: ${systemWords(error)}. ` +
        `Invalid TUN/TAP Backend provided by ${name}. Check our documentation on setting up the network devices.`,
    );
  }
}
