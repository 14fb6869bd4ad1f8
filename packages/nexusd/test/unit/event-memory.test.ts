import assert from "node:assert/strict";
import { test } from "node:test";
import type { JSONRPCMessage } from "@modelcontextprotocol/server";
import { EventMemory } from "../../src/mcp/event-memory.ts";

const message = (text: string): JSONRPCMessage => ({
  jsonrpc: "2.0",
  method: "notifications/message",
  params: { text },
});

async function after(memory: EventMemory, id: string): Promise<unknown[]> {
  const texts: unknown[] = [];
  await memory.replayEventsAfter(id, {
    send: async (_id, sent) => void texts.push("params" in sent && sent.params?.["text"]),
  });
  return texts;
}

test("what followed an event on its stream is given again, in order", async () => {
  const memory = new EventMemory();
  const first = await memory.storeEvent("a", message("one"));
  await memory.storeEvent("b", message("of another"));
  const second = await memory.storeEvent("a", message("two"));
  await memory.storeEvent("a", message("three"));
  assert.deepEqual(await after(memory, first), ["two", "three"]);
  assert.deepEqual(await after(memory, second), ["three"]);
  assert.equal(await memory.getStreamIdForEventId(second), "a");
  for (const unknown of ["", "0", "99", "1.0", "nonsense"]) {
    assert.equal(await memory.getStreamIdForEventId(unknown), undefined);
    await assert.rejects(after(memory, unknown));
  }
});

test("it holds so much and no more; an event of which not all successors are held is unknown", async () => {
  const memory = new EventMemory();
  const first = await memory.storeEvent("a", message("one"));
  const second = await memory.storeEvent("a", message("x".repeat(500 * 1024)));
  assert.equal(await memory.getStreamIdForEventId(first), "a");
  const third = await memory.storeEvent("a", message("y".repeat(500 * 1024)));
  for (const gone of [first, second]) assert.equal(await memory.getStreamIdForEventId(gone), undefined);
  assert.deepEqual(await after(memory, third), []);
  for (let count = 0; count < 1024; count += 1) await memory.storeEvent("b", message("z"));
  assert.equal(await memory.getStreamIdForEventId(third), undefined);
});
