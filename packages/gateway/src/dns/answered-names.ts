/** of pairs of a name and an address that are remembered for a guest; the oldest go */
const maxPairs = 2048;
/** an opened address stays open so long at least, s: a guest may use an answer some time after it got it */
export const minOpenSeconds = 30;

interface Pair {
  name: string;
  address: string;
  /** until when the guest may use it, by performance.now() */
  until: number;
}

/** What a guest was told: which names have led it to which addresses. */
export class AnsweredNames {
  readonly #pairs = new Map<string, Pair>();
  readonly #last = new Map<string, string>();

  /** The name that was last answered with this address. */
  nameOf(address: string): string | null {
    return this.#last.get(address) ?? null;
  }

  note(name: string, address: string, seconds: number): void {
    keepNewest(this.#pairs, `${name} ${address}`, { name, address, until: performance.now() + seconds * 1000 });
    keepNewest(this.#last, address, name);
  }

  /**
   * All pairs, and for how long they are to be open under rules that are made anew. What is open no more is so for a
   * moment again, in which a connection made while it was can show that it lives.
   */
  pairs(): { name: string; address: string; seconds: number }[] {
    const now = performance.now();
    return [...this.#pairs.values()].map(({ name, address, until }) => ({
      name,
      address,
      seconds: Math.max(Math.ceil((until - now) / 1000), minOpenSeconds),
    }));
  }
}

function keepNewest<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= maxPairs) break;
    map.delete(oldest);
  }
}
