import type { OpenAddress } from "./guest-elements.ts";

/** addresses and ports that may be open for one guest because of names */
const maxOpen = 4096;

/** What is open for a guest in the kernel's sets, until when. It may be more than there is, and is never less. */
export class OpenAddresses {
  readonly #until = new Map<string, { address: string; place: number; until: number }>();

  /** Those that are not open for long enough; null where there would be too many. */
  missing(wanted: readonly OpenAddress[]): OpenAddress[] | null {
    const now = performance.now();
    const missing = wanted.filter(
      ({ address, place, seconds }) => (this.#until.get(`${address} ${place}`)?.until ?? 0) < now + seconds * 1000,
    );
    if (this.#until.size + missing.length > maxOpen)
      for (const [key, { until }] of this.#until) if (until < now) this.#until.delete(key);
    return this.#until.size + missing.length > maxOpen ? null : missing;
  }

  /** Notes what is about to be opened, before it is. */
  note(opened: readonly OpenAddress[]): void {
    const now = performance.now();
    for (const { address, place, seconds } of opened)
      this.#until.set(`${address} ${place}`, { address, place, until: now + (seconds + 1) * 1000 });
  }

  /** All of them; from now on none is. */
  takeAll(): { address: string; place: number }[] {
    const all = [...this.#until.values()];
    this.#until.clear();
    return all;
  }
}
