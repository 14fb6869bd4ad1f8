import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { text } from "node:stream/consumers";
import type { Event, GuestStats } from "@workfort/contract";
import { withDaemon } from "@workfort/testing";
import { launcher, nexusctl, startCli } from "../helpers/run.ts";

/** What goes on until it is ended: nexusctl events and nexusctl vm top, against a real daemon and a real VM. */
test("watching with nexusctl", async (context) => {
  await withDaemon({}, async (daemon) => {
    const env = daemon.env;
    const params = { vm: "dev" };
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });

    await context.test("events are lines, for programs of JSON, and Ctrl-C ends them", async () => {
      const people = startCli(env, "events", "--since", "0123456789ab-1");
      const words = ["events", "--json", "--vm", "dev", "--since", "0123456789ab-1"];
      const programs = spawn(launcher, words, { env, stdio: ["ignore", "pipe", "inherit"] });
      const gap = "the daemon was restarted; what changed meanwhile is not told";
      let [said, json] = ["", ""];
      people.child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
      programs.stdout.on("data", (bytes: Buffer) => (json += bytes.toString()));
      await Promise.all([once(people.child.stdout, "data"), once(programs.stdout, "data")]);
      await daemon.client.call("vm.start", { params, body: {} });
      while (!said.includes("agent.ready")) await once(people.child.stdout, "data");
      while (!json.includes("agent.ready")) await once(programs.stdout, "data");
      assert.match(said, new RegExp(`^[-\\d]+ [:\\d]+  gap {21}${gap}\n`));
      assert.match(said, /^[-\d]+ [:\d]+ {2}vm\.state_changed {8}dev {2}starting → running: booted with /m);
      const events = json
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Event);
      assert.deepEqual(
        events.map(({ type }) => type),
        ["gap", "vm.created", "vm.state_changed", "vm.state_changed", "agent.ready"],
      );
      people.child.kill("SIGINT");
      assert.deepEqual([(await people.ended).signal, (await people.ended).stderr], ["SIGINT", ""]);
      const ended = once(programs, "exit");
      programs.stdout.destroy(); // as head does
      await daemon.client.call("vm.pause", { params });
      await daemon.client.call("vm.resume", { params });
      assert.deepEqual(await ended, [141, null]);
    });

    await context.test("what events are asked for is checked", async () => {
      for (const [flag, value] of [
        ["--type", "vm.nonsense"],
        ["--since", "yesterday"],
        ["--vm", "Not_A_Name"],
      ] as const) {
        const { code, stderr } = await nexusctl(env, ["events", flag, value]);
        assert.equal(code, 2);
        assert.match(stderr, new RegExp(`^error: cannot watch events\n  ${flag}: must be `));
      }
    });

    await context.test("vm top prints a table, or what the daemon says", async () => {
      const { code, stdout } = await nexusctl(env, ["vm", "top", "dev"]);
      assert.equal(code, 0);
      assert.match(stdout, /^Processors +1, [\d.]+% busy\nMemory +[\d.]+ MiB of [\d.]+ MiB$/m);
      assert.match(stdout, /^ *PID +PPID +USER +S +CPU +TIME +MEMORY +THREADS +COMMAND$/m);
      const stats = JSON.parse((await nexusctl(env, ["vm", "top", "dev", "--json"])).stdout) as GuestStats;
      assert.equal(stats.processorCount, 1);
      assert.equal((await nexusctl(env, ["vm", "top", "none"])).code, 4);
    });

    await context.test("on a terminal the table is drawn again until q, and leaves the screen as it was", async () => {
      const command = `${launcher} vm top dev --interval 200ms`;
      const child = spawn("script", ["-qec", command, "/dev/null"], { env: { ...env, TERM: "xterm" } });
      const whole = text(child.stdout);
      let tables = 0;
      child.stdout.on("data", (bytes: Buffer) => {
        tables += bytes.toString().split("COMMAND").length - 1;
        if (tables >= 3) child.stdin.end("q");
      });
      child.stdin.on("error", () => {}); // it has ended
      const [code] = (await once(child, "exit")) as [number];
      assert.equal(code, 0);
      const shown = await whole;
      assert.ok(shown.startsWith("\x1b[?1049h") && shown.includes("\x1b[?1049l"), JSON.stringify(shown.slice(-200)));
    });
  });
});
