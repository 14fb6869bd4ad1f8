import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOf, parsePlace } from "../../src/copy/place.ts";

test("a word names a place in a VM, on this host, or a pipe", () => {
  assert.deepEqual(parsePlace("dev:/a b"), { kind: "guest", vm: "dev", path: "/a b" });
  assert.deepEqual(parsePlace("vm_abc:x/y:z"), { kind: "guest", vm: "vm_abc", path: "~/x/y:z" });
  assert.deepEqual(parsePlace("dev:"), { kind: "guest", vm: "dev", path: "~" });
  assert.deepEqual(parsePlace("dev:~/x"), { kind: "guest", vm: "dev", path: "~/x" });
  for (const path of ["./a:b", "/a:b", "a", "A:b", "a b:c"]) assert.deepEqual(parsePlace(path), { kind: "host", path });
  assert.deepEqual(parsePlace("-"), { kind: "pipe" });
  assert.throws(() => parsePlace(""));
});

test("the last part of a path is the name of its copy", () => {
  assert.deepEqual(["/a/b", "/a/b/", "b", "~/b"].map(nameOf), ["b", "b", "b", "b"]);
  assert.deepEqual(["/", "", ".", "/a/..", "~", "~/"].map(nameOf), [null, null, null, null, null, null]);
});
