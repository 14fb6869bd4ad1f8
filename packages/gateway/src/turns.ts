/** Lets one change happen after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  async take<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(change, change);
    this.#last = turn.catch(() => {});
    return await turn;
  }
}
