import assert from "node:assert/strict";
import { test } from "node:test";
import { isId, Name, Reference, vmStates } from "@workfort/contract";
import { bareId, newId } from "@workfort/core";
import * as fc from "fast-check";
import { defaultLimitMiB, refuseMemory } from "../../src/admission.ts";
import { decide, type VmRequest } from "../../src/decide.ts";
import { Reservations } from "../../src/reservations.ts";
import { canChange } from "../../src/state-machine.ts";

const requests: VmRequest[] = ["start", "stop", "kill", "pause", "resume", "delete", "reach_guest"];

test("what is accepted can be done: each accepted request has a transition to go with", () => {
  const leadsTo = { start: "starting", stop: "stopping", pause: "paused" } as const;
  for (const state of vmStates)
    for (const request of ["start", "stop", "pause"] as const)
      assert.equal(
        decide({ name: "dev", state }, request).accept,
        canChange(state, leadsTo[request]),
        `${request} ${state}`,
      );
});

test("every state accepts something and refuses the rest with a reason and what to do", () => {
  for (const state of vmStates) {
    const decisions = requests.map((request) => decide({ name: "dev", state }, request));
    assert.ok(
      decisions.some(({ accept }) => accept),
      `nothing can be asked of a VM that is ${state}`,
    );
    for (const decision of decisions)
      if (!decision.accept) {
        assert.match(decision.reason, /"dev"/);
        assert.notEqual(decision.hint, "");
      }
  }
});

test("a VM that is deleted does not live: no state accepts both delete and kill", () => {
  for (const state of vmStates)
    assert.notEqual(
      decide({ name: "dev", state }, "delete").accept,
      decide({ name: "dev", state }, "kill").accept,
      state,
    );
});

test("every state is reached from created, and from every live one there is a way to an end", () => {
  const reachable = (from: (typeof vmStates)[number]): Set<string> => {
    const seen = new Set<string>([from]);
    for (const state of seen)
      for (const next of vmStates) if (canChange(state as (typeof vmStates)[number], next)) seen.add(next);
    return seen;
  };
  assert.equal(reachable("created").size, vmStates.length);
  for (const state of ["starting", "running", "paused", "stopping"] as const)
    assert.ok(reachable(state).has("stopped") && reachable(state).has("crashed"), state);
});

test("memory is promised in full: what is admitted one after the other never exceeds the limit", () => {
  const asks = fc.array(fc.record({ memoryMiB: fc.nat(4096), overheadMiB: fc.nat(512) }));
  fc.assert(
    fc.property(fc.nat(65_536), asks, (limitMiB, vms) => {
      let committedMiB = 0;
      for (const vm of vms) {
        const refusal = refuseMemory({ limitMiB, committedMiB, ...vm });
        const wanted = vm.memoryMiB + vm.overheadMiB;
        assert.equal(refusal === null, committedMiB + wanted <= limitMiB);
        if (refusal === null) committedMiB += wanted;
        else for (const part of [wanted, limitMiB, committedMiB]) assert.ok(refusal.includes(`${part} `), refusal);
      }
      assert.ok(committedMiB <= limitMiB);
    }),
  );
});

test("the host keeps a tenth of its memory, and no less than 512 MiB", () => {
  fc.assert(
    fc.property(fc.nat(4_194_304), (totalMiB) => {
      const left = totalMiB - defaultLimitMiB(totalMiB);
      assert.ok(left >= Math.min(totalMiB, 512) && left >= totalMiB / 10);
    }),
  );
});

test("an id is never a name, and both can stand where either is meant", () => {
  for (const kind of ["vm", "img", "ws"] as const) {
    const id = newId(kind);
    assert.ok(isId(id) && !Name.safeParse(id).success && Reference.safeParse(id).success, id);
    assert.match(bareId(id), /^[a-z2-7]{12}$/);
  }
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/), (name) => {
      assert.ok(Name.safeParse(name).success && !isId(name));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const allowed = /^[a-z0-9-]{1,63}$/.test(text) && !text.startsWith("-") && !text.endsWith("-");
      assert.equal(Name.safeParse(text).success, allowed);
    }),
  );
});

test("ids do not repeat", () => {
  const ids = new Set(Array.from({ length: 10_000 }, () => newId("vm")));
  assert.equal(ids.size, 10_000);
});

test("what is reserved stays so until the last holder lets go, however its work ends", async () => {
  const reservations = new Reservations();
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  const holding = [
    reservations.hold(["name", "image"], () => first.promise),
    reservations.hold(["image"], () => second.promise),
  ];
  assert.ok(reservations.has("name") && reservations.has("image"));
  first.reject(new Error("it failed"));
  await assert.rejects(holding[0] ?? Promise.resolve());
  assert.ok(!reservations.has("name") && reservations.has("image"));
  second.resolve();
  await holding[1];
  assert.ok(!reservations.has("image"));
});
