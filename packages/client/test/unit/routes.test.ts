import assert from "node:assert/strict";
import { test } from "node:test";
import { operationNames, operations } from "@workfort/contract";
import { fillPath } from "../../src/address.ts";
import { routes } from "../../src/routes.ts";

test("every operation of the contract has the same route here, and no other has", () => {
  const expected = operationNames.map((name) => [name, [operations[name].method, operations[name].path]]);
  assert.deepEqual(routes, Object.fromEntries(expected));
});

test("parameters are escaped and the query is appended", () => {
  assert.equal(fillPath("/v1/vms/{vm}", { vm: "a/../b?c" }), "/v1/vms/a%2F..%2Fb%3Fc");
  assert.equal(
    fillPath("/v1/vms", {}, { state: "running", other: undefined, q: "a&b" }),
    "/v1/vms?state=running&q=a%26b",
  );
});

test("an empty parameter is refused, because it would name another operation", () => {
  assert.throws(() => fillPath("/v1/vms/{vm}", { vm: "" }), { name: "WorkfortError", code: "invalid_request" });
  assert.throws(() => fillPath("/v1/vms/{vm}", {}), /path\.vm/);
});
