import assert from "node:assert/strict";
import { test } from "node:test";
import type { Denial } from "@workfort/contract";
import { Denials, type Refused } from "../../src/denials/denials.ts";
import type { Guest } from "../../src/guest.ts";

const guest = { vm: { id: "vm_aaaaaaaaaaaa", name: "dev" }, deniedHere: 0 } as Guest;
const refused = (name: string): Refused => ({
  kind: "dns",
  name,
  address: null,
  port: null,
  protocol: "udp",
  reason: "it is not on the list",
});

test("equal ones within a second are one, which is told when the second is over or somebody asks", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const denials = new Denials();
  const told: Denial[] = [];
  const end = denials.follow((denial) => told.push(denial));
  const seen = (): [string | null, number][] => told.map(({ name, count }) => [name, count]);
  for (const name of ["a", "a", "b", "a"]) denials.add(guest, refused(name));
  assert.deepEqual(seen(), []);
  context.mock.timers.tick(1000);
  const first: [string, number][] = [
    ["a", 3],
    ["b", 1],
  ];
  assert.deepEqual(seen(), first);
  denials.add(guest, refused("a"));
  const behind = told.at(-1)?.number ?? 0;
  assert.deepEqual(
    denials.list(behind, null).map(({ name, count, number }) => [name, count, number]),
    [["a", 1, behind + 1]],
  );
  end();
  denials.add(guest, refused("c"));
  context.mock.timers.tick(1000);
  assert.deepEqual(seen(), [...first, ["a", 1]]);
  assert.deepEqual(denials.list(behind, "vm_bbbbbbbbbbbb"), []);
});
