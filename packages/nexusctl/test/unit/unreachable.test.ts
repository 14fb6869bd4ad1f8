import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { DaemonUnreachable } from "@workfort/client";
import { locate } from "@workfort/contract/locations";
import { checkout } from "../../src/sibling.ts";
import { explainUnreachable, startCommand } from "../../src/unreachable.ts";
import { environment } from "../helpers/fake-daemon.ts";

function machine(context: TestContext, instance = "nexus") {
  const directory = mkdtempSync(join(tmpdir(), "nexusctl-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const env = { ...environment(directory), NEXUS_INSTANCE: instance };
  return { directory, env, locations: locate(env, 1000) };
}

test("without systemd the checkout's own way starts the daemon", (context) => {
  const elsewhere = process.cwd() === checkout ? "" : ` --prefix ${checkout}`;
  assert.equal(startCommand(machine(context)), `npm${elsewhere} run up`);
});

test("systemd starts it where it looks after this user and has the unit of this instance", (context) => {
  const { directory, env, locations } = machine(context, "nexus-ab");
  mkdirSync(join(directory, "run/systemd"), { recursive: true });
  writeFileSync(join(directory, "run/systemd/private"), "");
  assert.match(startCommand({ env, locations }), /^npm/);
  mkdirSync(join(directory, ".config/systemd/user"), { recursive: true });
  writeFileSync(join(directory, ".config/systemd/user/nexus-ab.service"), "");
  assert.equal(startCommand({ env, locations }), "systemctl --user start nexus-ab");
});

test("each way of being unreachable says its likely cause", (context) => {
  const cli = machine(context);
  const why = (reason: ConstructorParameters<typeof DaemonUnreachable>[1]) =>
    explainUnreachable(new DaemonUnreachable(cli.locations.socket, reason, { code: "EX" }), cli);
  assert.match(why("missing").why.join(), /the socket is not there/);
  assert.match(why("refused").why.join(), /died/);
  assert.match(why("forbidden").why.join(), /another user/);
  assert.match(why("lost").why.join(), /in the middle/);
  assert.match(why("other").why.join(), /failed/);
  for (const reason of ["missing", "refused", "forbidden", "lost", "other"] as const) {
    const { headline, exitCode, next } = why(reason);
    assert.equal(headline, `cannot reach nexusd at ${cli.locations.socket}`);
    assert.equal(exitCode, 3);
    assert.ok(next);
  }
});

test("a log that is there is named", (context) => {
  const cli = machine(context);
  mkdirSync(cli.locations.stateDirectory, { recursive: true });
  const log = join(cli.locations.stateDirectory, "nexusd.log");
  writeFileSync(log, "");
  assert.ok(explainUnreachable(new DaemonUnreachable("/s", "refused"), cli).why.includes(`its log: ${log}`));
});
