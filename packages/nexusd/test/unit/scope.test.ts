import assert from "node:assert/strict";
import { test } from "node:test";
import type { OperationName } from "@workfort/contract";
import type { Tokens } from "@workfort/core";
import { refusal } from "@workfort/testing";
import { askAsToken } from "../../src/mcp/scope.ts";

test("a token does not change what a VM may reach, and nothing is opened on the host for it", async () => {
  const asked: OperationName[] = [];
  const tokens = {
    current: () => ({}),
    vmFor: () => ({ id: "vm_abcdefgh2345" }),
    creating: (_: string, __: object, create: () => Promise<unknown>) => create(),
  } as unknown as Tokens;
  const ask = askAsToken((name) => Promise.resolve(void asked.push(name)), tokens, "tok", {
    memoryMiB: 1,
    vcpuCount: 1,
  });
  const owners = ["vm.policy.set", "vm.policy.edit", "vm.policy.clear", "forward.create", "vm.preview"] as const;
  const whole = ["network.policy.set", "network.policy.get", "network.log", "network.reset", "service.create"] as const;
  for (const name of [...owners, ...whole]) {
    const params = name.startsWith("vm.") || name.startsWith("forward.") ? { vm: "dev" } : {};
    assert.equal((await refusal(ask(name, { params }, {}))).code, "forbidden", name);
  }
  const body = { name: "new", image: "base", network: { policy: { mode: "open" } } };
  assert.equal((await refusal(ask("vm.create", { body }, {}))).code, "forbidden");
  assert.deepEqual(asked, []);
  await ask("vm.create", { body: { name: "new", image: "base" } }, {});
  await ask("vm.network.get", { params: { vm: "dev" } }, {});
  assert.deepEqual(asked, ["vm.create", "vm.network.get"]);
});
