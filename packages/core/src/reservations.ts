/** What changes in flight hold: names not yet in the store, and things that must not go meanwhile. */
export class Reservations {
  readonly #counts = new Map<string, number>();

  has(key: string): boolean {
    return this.#counts.has(key);
  }

  /** Holds the keys while `work` runs. */
  async hold<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const key of keys) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    try {
      return await work();
    } finally {
      for (const key of keys) this.#drop(key);
    }
  }

  #drop(key: string): void {
    const count = this.#counts.get(key) ?? 0;
    if (count > 1) this.#counts.set(key, count - 1);
    else this.#counts.delete(key);
  }
}
