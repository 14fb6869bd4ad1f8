import assert from "node:assert/strict";
import { test } from "node:test";
import { gather } from "../../src/gather.ts";

const never = new AbortController().signal;

test("what has arrived meanwhile comes as one piece", async () => {
  const source = new Source();
  const pieces = gather(source, 100, never);
  source.push("a");
  assert.equal(String((await pieces.next()).value), "a");
  source.push("b");
  source.push("c");
  await turns();
  assert.equal(String((await pieces.next()).value), "bc");
  source.end();
  assert.equal((await pieces.next()).done, true);
});

test("it reads ahead no further than its bound", async () => {
  const source = new Source();
  const pieces = gather(source, 4, never);
  for (const text of ["aa", "bb", "cc", "dd"]) source.push(text);
  source.end();
  await turns();
  assert.equal(source.taken, 0, "nothing is read before somebody asks");
  const first = String((await pieces.next()).value);
  await turns();
  assert.ok(source.taken <= 4);
  let rest = "";
  for await (const piece of pieces) {
    assert.ok(piece.length <= 6);
    rest += String(piece);
  }
  assert.equal(first + rest, "aabbccdd");
});

test("an abort ends it although its source is silent", async () => {
  const abort = new AbortController();
  const pieces = gather(new Source(), 4, abort.signal);
  const next = pieces.next();
  abort.abort();
  assert.equal((await next).done, true);
});

test("a source that fails fails it, after what had come", async () => {
  const source = new Source();
  const pieces = gather(source, 4, never);
  source.push("a");
  source.fail(new Error("gone"));
  assert.equal(String((await pieces.next()).value), "a");
  await assert.rejects(pieces.next(), /gone/);
});

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A source that is fed by hand. */
class Source implements AsyncIterable<Uint8Array> {
  taken = 0;
  readonly #queue: (() => IteratorResult<Uint8Array>)[] = [];
  #wake: (() => void) | null = null;

  push(text: string): void {
    this.#add(() => ({ done: false, value: Buffer.from(text) }));
  }

  end(): void {
    this.#add(() => ({ done: true, value: undefined }));
  }

  fail(error: Error): void {
    this.#add(() => {
      throw error;
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        while (this.#queue.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
        this.taken += 1;
        return this.#queue.shift()?.() ?? { done: true, value: undefined };
      },
    };
  }

  #add(entry: () => IteratorResult<Uint8Array>): void {
    this.#queue.push(entry);
    this.#wake?.();
  }
}
