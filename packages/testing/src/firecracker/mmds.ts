import type { MmdsConfig } from "./bodies.ts";
import { Refusal } from "./refusal.ts";

/** The metadata of a VM, which no guest of the double can ask for; what is not configured is gone after the boot. */
export class Mmds {
  readonly #limitBytes: number;
  #data: unknown = undefined;
  #config: (MmdsConfig & { ipv4_address: string }) | null = null;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get config(): MmdsConfig | null {
    return this.#config;
  }

  configure(config: MmdsConfig, interfaces: readonly string[]): void {
    const refuse = (why: string): Refusal => new Refusal(`MMMDS config error: ${why}`); // as it is spelt there
    if (config.network_interfaces.length === 0)
      throw refuse("The list of network interface IDs that allow forwarding MMDS requests is empty.");
    if (config.network_interfaces.some((id) => !interfaces.includes(id)))
      throw refuse(
        "The list of network interface IDs provided contains at least one ID that does not correspond to any existing network interface.",
      );
    const address = config.ipv4_address ?? "169.254.169.254";
    if (!address.startsWith("169.254.")) throw refuse("The MMDS IPv4 address is not link local.");
    const named = interfaces.filter((id) => config.network_interfaces.includes(id));
    this.#config = { ...config, network_interfaces: named, ipv4_address: address };
  }

  /** JSON with sorted keys; before the boot there is an empty store. */
  get(hasBooted: boolean): string {
    if (hasBooted && this.#config === null) throw notInitialized();
    return JSON.stringify(this.#data ?? {}, sortedKeys);
  }

  put(data: unknown, hasBooted: boolean): void {
    if (hasBooted && this.#config === null) throw notInitialized();
    this.#set(data);
  }

  /** A JSON merge patch. */
  patch(change: unknown, hasBooted: boolean): void {
    if (this.#data === undefined || (hasBooted && this.#config === null)) throw notInitialized();
    this.#set(merged(this.#data, change));
  }

  #set(data: unknown): void {
    if (Buffer.byteLength(JSON.stringify(data)) > this.#limitBytes)
      throw new Refusal("MMDS limit exceeded error: The MMDS patch request doesn't fit.", 413);
    this.#data = data;
  }
}

function notInitialized(): Refusal {
  return new Refusal("MMDS error: The MMDS data store is not initialized.");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function merged(target: unknown, change: unknown): unknown {
  if (!isObject(change)) return change;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(change))
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  return result;
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
