import { randomBytes } from "node:crypto";
import type { Change, ChangeType, Event } from "@workfort/contract";
import type { Store } from "./ports.ts";

/**
 * What has changed, for whoever watches.
 *
 * The newest changes are held once, for all readers; a reader is no more than a place among them. One whose place is
 * no longer held is lost: it is told so and has to begin anew. So nothing grows, however slow a reader is.
 */
const heldChanges = 1024;

/** A change is told after it is committed, and not at all where it is rolled back. */
export interface EventSink {
  publish(change: Change): void;
}

export interface EventFilter {
  /** name or id */
  vm?: string | undefined;
  types?: readonly ChangeType[] | undefined;
}

export class Events implements EventSink {
  readonly #store: Pick<Store, "afterCommit">;
  readonly #capacity: number;
  /** this run of the daemon */
  readonly #run = randomBytes(6).toString("hex");
  /** the one with number n lies at n modulo the capacity */
  readonly #ring: Event[] = [];
  readonly #readers = new Set<EventReader>();
  #last = 0;
  #closed = false;

  constructor(needs: { store: Pick<Store, "afterCommit">; capacity?: number }) {
    this.#store = needs.store;
    this.#capacity = needs.capacity ?? heldChanges;
  }

  publish(change: Change): void {
    const at = Date.now();
    this.#store.afterCommit(() => this.#append(change, at));
  }

  /** A reader of all that comes after the event of this id, or from now on. */
  read(after: string | undefined, filter: EventFilter): EventReader {
    const place = after === undefined ? { at: this.#last, gap: null } : this.#placeOf(after);
    const reader = new EventReader(this, place, filter);
    if (this.#closed) reader.close();
    else this.#readers.add(reader);
    return reader;
  }

  forget(reader: EventReader): void {
    this.#readers.delete(reader);
  }

  /** Readers get what is held, and then the end. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader.close();
  }

  get last(): number {
    return this.#last;
  }

  /** number of the oldest one held */
  get oldest(): number {
    return Math.max(1, this.#last - this.#capacity + 1);
  }

  at(number: number): Event {
    const event = this.#ring[number % this.#capacity];
    if (event === undefined) throw new Error(`event ${number} is not held`);
    return event;
  }

  gap(reason: "restarted" | "forgotten" | "slow", number: number): Event {
    return { id: this.idOf(number), at: Date.now(), type: "gap", reason };
  }

  #append(change: Change, at: number): void {
    if (this.#closed) return;
    this.#last += 1;
    this.#ring[this.#last % this.#capacity] = { id: this.idOf(this.#last), at, ...change } as Event;
    for (const reader of this.#readers) reader.wake();
  }

  #placeOf(after: string): { at: number; gap: "restarted" | "forgotten" | null } {
    const [run, digits] = after.split("-");
    const number = Number(digits);
    if (run !== this.#run || number > this.#last) return { at: this.oldest - 1, gap: "restarted" };
    return number < this.oldest - 1 ? { at: this.oldest - 1, gap: "forgotten" } : { at: number, gap: null };
  }

  idOf(number: number): string {
    return `${this.#run}-${number}`;
  }
}

/** One reader's place. */
export class EventReader {
  readonly #events: Events;
  readonly #filter: EventFilter;
  /** number of the last event that was looked at */
  #at: number;
  #gap: "restarted" | "forgotten" | null;
  #changed = Promise.withResolvers<void>();
  #lost = Promise.withResolvers<void>();
  #isLost = false;
  #isClosed = false;

  constructor(events: Events, place: { at: number; gap: "restarted" | "forgotten" | null }, filter: EventFilter) {
    this.#events = events;
    this.#at = place.at;
    this.#gap = place.gap;
    this.#filter = filter;
  }

  /** Resolves when what comes next for this reader is no longer held. */
  get lost(): Promise<void> {
    return this.#lost.promise;
  }

  /** id to go on behind */
  get place(): string {
    return this.#events.idOf(this.#at);
  }

  /** The next events, at most `most`; none where there are none yet. A reader that is lost gets a last gap. */
  take(most: number): Event[] {
    const taken: Event[] = [];
    if (this.#gap !== null) taken.push(this.#events.gap(this.#gap, this.#at));
    this.#gap = null;
    this.#changed = Promise.withResolvers();
    if (this.#isLost) return [...taken, this.#events.gap("slow", this.#at)];
    while (taken.length < most && this.#at < this.#events.last) {
      this.#at += 1;
      const event = this.#events.at(this.#at);
      if (passes(event, this.#filter)) taken.push(event);
    }
    return taken;
  }

  /** whether nothing will come any more */
  get isOver(): boolean {
    return this.#isLost || (this.#isClosed && this.#at === this.#events.last);
  }

  /** Resolves when there may be more than the last `take` has given, at the latest after `boundMs`. */
  async wait(boundMs: number): Promise<void> {
    if (this.isOver || this.#at < this.#events.last) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, boundMs);
    await Promise.race([this.#changed.promise, late]).finally(() => clearTimeout(timer));
  }

  wake(): void {
    this.#changed.resolve();
    if (this.#isLost || this.#at >= this.#events.oldest - 1) return;
    this.#isLost = true;
    this.#lost.resolve();
    this.#events.forget(this);
  }

  /** Ends a wait; a reader that nobody reads any more is to be forgotten. */
  close(): void {
    this.#isClosed = true;
    this.#changed.resolve();
    this.#events.forget(this);
  }
}

function passes(event: Event, { vm, types }: EventFilter): boolean {
  if (types !== undefined && !(types as readonly string[]).includes(event.type)) return false;
  return vm === undefined || ("vmId" in event && (event.vmId === vm || event.vmName === vm));
}
