import assert from "node:assert/strict";
import { test } from "node:test";
import { Event, type Change } from "@workfort/contract";
import { Events, type EventReader } from "../../src/events.ts";

const atOnce = { afterCommit: (tell: () => void) => tell() };
const capacity = 8;
const make = (): Events => new Events({ store: atOnce, capacity });
const image = (name: string): Change => ({ type: "image.created", imageId: "img_abcdefgh2345", imageName: name });
const vm = (name: string): Change => ({ type: "vm.created", vmId: "vm_abcdefgh2345", vmName: name });

/** what the reader gets now, in a few words */
function told(reader: EventReader): string[] {
  return reader.take(100).map((event) => {
    Event.parse(event);
    if (event.type === "gap") return `gap ${event.reason}`;
    return "imageName" in event ? event.imageName : event.type;
  });
}

const publish = (events: Events, from: number, to: number): void => {
  for (let number = from; number <= to; number += 1) events.publish(image(`i${number}`));
};

test("a reader gets what comes from now on, in order, and what comes after an id", () => {
  const events = make();
  publish(events, 1, 3);
  const reader = events.read(undefined, {});
  const place = reader.place;
  assert.deepEqual(told(reader), []);
  publish(events, 4, 6);
  assert.deepEqual(told(reader), ["i4", "i5", "i6"]);
  assert.deepEqual(told(reader), []);
  assert.deepEqual(told(events.read(place, {})), ["i4", "i5", "i6"]);
  assert.deepEqual(told(events.read(reader.place, {})), []);
});

test("few are taken at a time", () => {
  const events = make();
  const reader = events.read(undefined, {});
  publish(events, 1, 5);
  assert.deepEqual(
    [2, 2, 2].map((most) => reader.take(most).length),
    [2, 2, 1],
  );
});

test("what is no longer held, and what another daemon told, is a gap; all that is held comes behind it", () => {
  const events = make();
  const first = events.read(undefined, {}).place;
  publish(events, 1, 1);
  const second = events.read(undefined, {}).place;
  publish(events, 2, 9);
  const held = Array.from({ length: capacity }, (_, at) => `i${at + 2}`);
  assert.deepEqual(told(events.read(second, {})), held);
  assert.deepEqual(told(events.read(first, {})), ["gap forgotten", ...held]);
  for (const id of ["0123456789ab-1", `${first.split("-")[0]}-99`])
    assert.deepEqual(told(events.read(id, {})), ["gap restarted", ...held]);
});

test("a reader that falls behind is told so once, and is over", async () => {
  const events = make();
  const [slow, quick] = [events.read(undefined, {}), events.read(undefined, {})];
  publish(events, 1, capacity);
  assert.equal(told(quick).length, capacity);
  publish(events, capacity + 1, capacity + 1);
  await slow.lost;
  assert.deepEqual(told(slow), ["gap slow"]);
  assert.ok(slow.isOver);
  assert.deepEqual(told(quick), ["i9"]);
  assert.deepEqual(told(events.read(slow.place, {})).slice(0, 2), ["gap forgotten", "i2"]);
});

test("a filter takes by name, id and type, and never holds a gap back", () => {
  const events = make();
  const readers = [{ vm: "dev" }, { vm: "vm_abcdefgh2345" }, { types: ["image.created" as const] }, { vm: "other" }];
  const [byName, byId, byType, other] = readers.map((filter) => events.read("0123456789ab-1", filter));
  events.publish(vm("dev"));
  publish(events, 1, 1);
  assert.deepEqual(
    [byName, byId, byType, other].map((reader) => (reader === undefined ? [] : told(reader))),
    [["gap restarted", "vm.created"], ["gap restarted", "vm.created"], ["gap restarted", "i1"], ["gap restarted"]],
  );
});

test("a reader with a filter is not lost by what it does not want", async () => {
  const events = make();
  const reader = events.read(undefined, { vm: "dev" });
  for (let round = 0; round < 5; round += 1) {
    const woken = reader.wait(60_000);
    publish(events, 1, capacity);
    await woken;
    assert.deepEqual(told(reader), []);
  }
  assert.ok(!reader.isOver);
});

test("when the daemon stops, readers get what is held and then the end", async () => {
  const events = make();
  const reader = events.read(undefined, {});
  const woken = reader.wait(60_000);
  events.publish({ type: "daemon.stopping" });
  events.close();
  await woken;
  assert.ok(!reader.isOver);
  assert.deepEqual(told(reader), ["daemon.stopping"]);
  assert.ok(reader.isOver);
  publish(events, 1, 1);
  assert.deepEqual(told(reader), []);
  assert.ok(events.read(undefined, {}).isOver);
});

test("an event is told once its transaction is committed, and not at all where it is rolled back", () => {
  let open: (() => void)[] = [];
  const events = new Events({ store: { afterCommit: (tell) => void open.push(tell) } });
  const reader = events.read(undefined, {});
  publish(events, 1, 2);
  assert.deepEqual(told(reader), []);
  for (const tell of open) tell();
  open = [];
  assert.deepEqual(told(reader), ["i1", "i2"]);
});
