import assert from "node:assert/strict";
import { test } from "node:test";
import { DetachKeys, parseDetachKeys } from "../../src/terminal/detach-keys.ts";

/** What goes to the guest of these pieces; ends with null where the keys were typed. */
function type(keys: string, ...pieces: string[]): (string | null)[] {
  const detach = new DetachKeys(parseDetachKeys(keys));
  return pieces.map((piece) => detach.take(Buffer.from(piece))?.toString() ?? null);
}

test("keys are named as they are typed", () => {
  assert.deepEqual([...parseDetachKeys("ctrl-p,ctrl-q")], [0x10, 0x11]);
  assert.deepEqual([...parseDetachKeys("ctrl-],d,~,ctrl-@")], [0x1d, 0x64, 0x7e, 0]);
  for (const wrong of ["", "ctrl-", "ctrl-1", "ab", "ctrl-p,", "ä"]) assert.throws(() => parseDetachKeys(wrong), wrong);
});

test("the keys are noticed wherever pieces are cut, and everything else goes through", () => {
  assert.deepEqual(type("ctrl-p,ctrl-q", "abc", "\u0010", "\u0011"), ["abc", "", null]);
  assert.deepEqual(type("ctrl-p,ctrl-q", "a\u0010\u0011b"), [null]);
  assert.deepEqual(type("ctrl-p,ctrl-q", "\u0010", "x", "\u0011"), ["", "\u0010x", "\u0011"]);
  assert.deepEqual(type("ctrl-p,ctrl-q", "\u0010\u0010", "\u0011"), ["\u0010", null]);
  assert.deepEqual(type("x", "abc", "x"), ["abc", null]);
});
