import { failpoint } from "./failpoint.ts";
import type { Logger, Store } from "./ports.ts";

/**
 * Multi-step changes that survive the daemon's death.
 *
 * A **build** (create, import) writes its intent durably, then runs its steps, then commits its rows and drops the
 * intent in one transaction. If a step fails, the steps are undone in reverse. After a death the intent is still
 * there: what is complete on disk is committed, the rest is undone.
 *
 * A **removal** drops its rows and writes its intent in one durable transaction; from then on the thing does not
 * exist, and the steps only clear away what it left. After a death they run again.
 *
 * Steps and undos are idempotent: each may run again, or for something that was never done.
 */
export interface BuildChange<Data> {
  kind: string;
  steps: readonly { name: string; run(data: Data): Promise<void>; undo(data: Data): Promise<void> }[];
  /** Writes the rows. */
  commit(data: Data): void;
  /** Whether all steps' effects are there, asked after a death. */
  isBuilt(data: Data): Promise<boolean>;
}

export interface RemovalChange<Data> {
  kind: string;
  /** Deletes the rows. */
  commit(data: Data): void;
  steps: readonly { name: string; run(data: Data): Promise<void> }[];
}

export class Journal {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #recoverers = new Map<string, (id: number, data: never) => Promise<void>>();

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Returns the function that runs the change. */
  build<Data>(change: BuildChange<Data>): (data: Data) => Promise<void> {
    this.#recoverers.set(change.kind, (id, data: never) => this.#recoverBuild(change, id, data));
    return async (data) => {
      const intent = this.#store.transaction(() => this.#store.insertIntent(change.kind, data), { durable: true });
      failpoint(`${change.kind}.intent`);
      try {
        for (const step of change.steps) {
          await step.run(data);
          failpoint(`${change.kind}.${step.name}`);
        }
        this.#commitBuild(change, intent, data);
      } catch (error) {
        await this.#undo(change, intent, data);
        throw error;
      }
      failpoint(`${change.kind}.commit`);
    };
  }

  /** Returns the function that runs the change. */
  removal<Data>(change: RemovalChange<Data>): (data: Data) => Promise<void> {
    this.#recoverers.set(change.kind, (id, data: never) => this.#clear(change, id, data));
    return async (data) => {
      const intent = this.#store.transaction(
        () => {
          change.commit(data);
          return this.#store.insertIntent(change.kind, data);
        },
        { durable: true },
      );
      failpoint(`${change.kind}.intent`);
      await this.#clear(change, intent, data);
    };
  }

  /** Completes or undoes what a death of the daemon left; changes of other kinds are the caller's. */
  async recover(): Promise<void> {
    for (const intent of this.#store.intents()) {
      const recoverer = this.#recoverers.get(intent.kind);
      if (recoverer === undefined) continue;
      try {
        await recoverer(intent.id, intent.data as never);
      } catch (error) {
        this.#log.error(
          { intent: intent.kind, data: intent.data, err: error },
          "an unfinished change could not be cleared; it is tried again at the next start",
        );
      }
    }
  }

  #commitBuild<Data>(change: BuildChange<Data>, intent: number, data: Data): void {
    this.#store.transaction(() => {
      change.commit(data);
      this.#store.deleteIntent(intent);
    });
  }

  async #recoverBuild<Data>(change: BuildChange<Data>, intent: number, data: Data): Promise<void> {
    if (await change.isBuilt(data)) {
      this.#commitBuild(change, intent, data);
      this.#log.info({ intent: change.kind, data }, "completed a change that the last run had begun");
      return;
    }
    await this.#undo(change, intent, data);
    this.#log.info({ intent: change.kind, data }, "undid a change that the last run had begun");
  }

  /** Leaves the intent in place if an undo fails, so that the next start tries again. */
  async #undo<Data>(change: BuildChange<Data>, intent: number, data: Data): Promise<void> {
    try {
      for (const step of change.steps.toReversed()) {
        await step.undo(data);
        failpoint(`${change.kind}.${step.name}.undo`);
      }
      this.#store.deleteIntent(intent);
    } catch (error) {
      this.#log.error(
        { intent: change.kind, data, err: error },
        "a failed change could not be undone; it is tried again at the next start",
      );
    }
  }

  async #clear<Data>(change: RemovalChange<Data>, intent: number, data: Data): Promise<void> {
    for (const step of change.steps) {
      await step.run(data);
      failpoint(`${change.kind}.${step.name}`);
    }
    this.#store.deleteIntent(intent);
  }
}
