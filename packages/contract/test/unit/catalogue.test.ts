import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCatalogue, errorCodes, operations, WorkfortError } from "@workfort/contract";
import { locate } from "@workfort/contract/locations";
import { toOpenApi } from "@workfort/contract/openapi";

interface Document {
  openapi: string;
  paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>;
}

test("the OpenAPI document has every operation, with a response for each of its errors", () => {
  const document = toOpenApi("1.2.3") as unknown as Document;
  assert.match(document.openapi, /^3\.1\./);
  const described = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  const byId = new Map(described.map((operation) => [operation.operationId, operation]));
  assert.deepEqual([...byId.keys()].toSorted(), Object.keys(operations).toSorted());
  for (const [id, operation] of Object.entries(operations))
    for (const code of operation.errors)
      assert.ok(byId.get(id)?.responses[String(errorCatalogue[code].status)] !== undefined, `${id} hides ${code}`);
});

test("every reference of the OpenAPI document leads somewhere", () => {
  const document = toOpenApi("1.2.3");
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (key === "$ref" && typeof value === "string") {
        const found = value
          .replace(/^#\//, "")
          .split("/")
          .reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document);
        assert.ok(found !== undefined, value);
      } else visit(value);
    }
  };
  visit(document);
});

test("an error goes over the wire and comes back as it was", () => {
  for (const code of errorCodes) {
    const fields = [{ field: "body.name", message: "must be a name" }];
    const sent = new WorkfortError(code, "it failed", { hint: "try again", fields });
    const received = WorkfortError.fromProblem(JSON.parse(JSON.stringify(sent.toProblem())) as never);
    assert.deepEqual(
      [received.code, received.message, received.hint, received.fields, received.status],
      [code, "it failed", "try again", fields, errorCatalogue[code].status],
    );
  }
});

test("directories follow XDG where it is absolute, and two instances share none but the cache", () => {
  const plain = locate({ HOME: "/home/you", XDG_RUNTIME_DIR: "/run/user/7" }, 7);
  assert.deepEqual(plain, {
    instance: "nexus",
    configFile: "/home/you/.config/nexus/nexus.yaml",
    dataDirectory: "/home/you/.local/share/nexus",
    stateDirectory: "/home/you/.local/state/nexus",
    runtimeDirectory: "/run/user/7/nexus",
    cacheDirectory: "/home/you/.cache/workfort",
    socket: "/run/user/7/nexus/nexus.sock",
  });
  const set = {
    HOME: "/home/you",
    XDG_DATA_HOME: "/data",
    XDG_STATE_HOME: "relative",
    XDG_CONFIG_HOME: "",
    XDG_RUNTIME_DIR: "/r",
  };
  const moved = locate({ ...set, NEXUS_INSTANCE: "two" }, 7);
  assert.equal(moved.dataDirectory, "/data/two");
  assert.equal(moved.stateDirectory, "/home/you/.local/state/two");
  assert.equal(moved.configFile, "/home/you/.config/two/nexus.yaml");
  for (const wrong of ["A", "a_b", "-a", "a".repeat(33), "../x"])
    assert.throws(() => locate({ NEXUS_INSTANCE: wrong }, 7), /NEXUS_INSTANCE/);
});
