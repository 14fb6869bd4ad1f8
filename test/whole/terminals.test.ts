import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { promises as fs } from "node:fs";
import { test } from "node:test";
import { AttachedTerminal, type TerminalOptions } from "@workfort/client";
import type { CreateTerminal, Terminal } from "@workfort/contract";
import { assertTidy, eventually, withDaemon, type TestDaemon } from "@workfort/testing";

/** Terminals of a real VM, looked at as nexusctl does. */

const vm = { vm: "dev" };
const main = { vm: "dev", terminal: "main" };
/** A shell that is in `read` when the signal comes may mind it only after the next line; one that waits does at once. */
const tellsItsSize =
  "trap 'stty size' WINCH; exec 3<&0; while read x; do echo got $x; done <&3 & echo ready; while :; do wait; done";

async function startVm(daemon: TestDaemon): Promise<void> {
  await daemon.importBase();
  await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
  await daemon.client.call("vm.start", { params: vm, body: {} });
}

async function open(daemon: TestDaemon, script: string, more: Partial<CreateTerminal> = {}): Promise<Terminal> {
  const body = { argv: ["sh", "-c", script], ...more };
  return await daemon.client.call("vm.terminal.create", { params: vm, body });
}

/** A viewer that keeps what was shown since the last screen. */
class Viewer {
  text = "";
  screens = 0;
  breaks = 0;
  size = "";
  refusals: string[] = [];
  readonly terminal: AttachedTerminal;
  readonly ended: Promise<Terminal>;
  readonly #leaving = new AbortController();

  constructor(daemon: TestDaemon, options: Partial<TerminalOptions> = {}) {
    this.terminal = new AttachedTerminal(daemon.client, {
      ...main,
      create: null,
      size: () => null,
      onScreen: ({ columns, rows }) => {
        this.text = "";
        this.screens += 1;
        this.size = `${columns}x${rows}`;
      },
      onOutput: (bytes) => void (this.text = (this.text + Buffer.from(bytes).toString("utf8")).slice(-100_000)),
      onSize: ({ columns, rows }) => void (this.size = `${columns}x${rows}`),
      onRefused: (error) => void this.refusals.push(error.message),
      onBreak: () => void (this.breaks += 1),
      signal: this.#leaving.signal,
      ...options,
    });
    this.ended = this.terminal.toEnd();
    this.ended.catch(() => {});
  }

  async shows(text: string): Promise<void> {
    await eventually(
      () => ({ shown: this.text, size: this.size, breaks: this.breaks, refusals: this.refusals }),
      ({ shown }) => shown.includes(text),
    );
  }

  async type(text: string): Promise<void> {
    assert.ok(await this.terminal.type(Buffer.from(text)), "the line is down");
  }

  async leave(): Promise<void> {
    this.#leaving.abort(new Error("left"));
    await assert.rejects(this.ended, /left/);
  }
}

test("terminals of a VM", (context) =>
  withDaemon({}, async (daemon) => {
    await startVm(daemon);
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
      const { terminals } = await daemon.client.call("vm.terminal.list", { params: vm });
      for (const { id } of terminals)
        await daemon.client.call("vm.terminal.delete", { params: { ...vm, terminal: id } });
    };

    await step("a shell is typed into, and its exit code comes back", async () => {
      const viewer = new Viewer(daemon, { create: {}, size: () => ({ columns: 100, rows: 30 }) });
      await eventually(
        () => viewer.screens,
        (screens) => screens > 0,
      );
      await viewer.type("stty size; tty; echo $TERM\n");
      await viewer.shows("30 100\r\n/dev/pts/");
      await viewer.shows("xterm-256color\r\n");
      await viewer.type("exit 42\n");
      const ended = await viewer.ended;
      assert.deepEqual([ended.state, ended.exitCode, ended.signal], ["ended", 42, null]);
      assert.deepEqual(await daemon.client.call("vm.terminal.get", { params: main }), { ...ended, viewers: 0 });
      const late = new Viewer(daemon);
      assert.equal((await late.ended).exitCode, 42, "it stays readable until it is deleted");
      assert.match(late.text, /30 100/);
    });

    await step("a daemon that is killed with -9 or stopped costs no viewer its screen", async () => {
      await open(
        daemon,
        "printf '\\033]0;kept\\007'; seq 200; printf '\\033[1;32mgreen\\033[0m '; read x; echo got $x",
      );
      const viewer = new Viewer(daemon);
      await viewer.shows("green");
      for (let round = 1; round <= 3; round += 1) {
        if (round === 2) assert.equal(await daemon.stop(), 0, "a viewer does not keep it from ending");
        else await daemon.die();
        await daemon.start();
        await eventually(
          () => viewer.screens,
          (screens) => screens === round + 1,
        );
        for (const kept of ["\n199 ", "\u001B[1;32mgreen", "\u001B]2;kept\u0007"]) await viewer.shows(kept);
      }
      assert.ok(viewer.breaks >= 3);
      await viewer.type("it\n");
      await viewer.shows("got it");
      assert.equal((await viewer.ended).exitCode, 0);
    });

    await step("two viewers see the same; the size is the last one's; one may only look on", async () => {
      await open(daemon, tellsItsSize);
      const first = new Viewer(daemon);
      await first.shows("ready");
      const second = new Viewer(daemon, { size: () => ({ columns: 60, rows: 20 }) });
      await first.shows("20 60");
      await second.shows("ready");
      await eventually(
        () => [first.size, second.size].join(),
        (sizes) => sizes === "60x20,60x20",
      );
      first.terminal.resize({ columns: 90, rows: 25 });
      await second.shows("25 90");
      const third = new Viewer(daemon, { readOnly: true });
      await third.shows("ready");
      await third.type("not this\n");
      third.terminal.resize({ columns: 10, rows: 10 });
      await eventually(
        () => third.refusals.length,
        (count) => count === 2,
      );
      await second.type("this\n");
      for (const viewer of [first, second, third]) await viewer.shows("got this");
      assert.ok(!first.text.includes("not this"));
      assert.equal((await daemon.client.call("vm.terminal.get", { params: main })).viewers, 3);
      for (const viewer of [first, second, third]) await viewer.leave();
      await eventually(
        () => daemon.client.call("vm.terminal.get", { params: main }),
        ({ viewers }) => viewers === 0,
      );
    });

    await step("who takes a terminal over types alone, until another takes it over", async () => {
      await open(daemon, tellsItsSize);
      await open(daemon, "echo ready; while :; do read x && echo got $x; done", { id: "other" });
      const taken: string[] = [];
      const viewer = (name: string, more: Partial<TerminalOptions> = {}): Viewer =>
        new Viewer(daemon, { onTaken: () => void taken.push(name), ...more });
      const [first, onlooker, beside] = [
        viewer("first"),
        viewer("onlooker", { readOnly: true }),
        viewer("beside", { terminal: "other" }),
      ];
      for (const one of [first, onlooker, beside]) await one.shows("ready");
      const second = viewer("second", { takeOver: true, size: () => ({ columns: 60, rows: 20 }) });
      await first.shows("20 60");
      assert.deepEqual(taken, ["first"], "not who looks on, and none of another terminal");
      assert.equal(await first.terminal.type(Buffer.from("not this\n")), false);
      first.terminal.resize({ columns: 90, rows: 25 });
      await beside.type("there\n");
      await beside.shows("got there");
      await second.type("this\n");
      for (const one of [first, onlooker, second]) await one.shows("got this");

      await daemon.die();
      await daemon.start();
      for (const one of [first, second])
        await eventually(
          () => one.screens,
          (screens) => screens === 2,
        );
      assert.equal(await first.terminal.type(Buffer.from("not this either\n")), false);
      await second.type("that\n");
      for (const one of [first, onlooker, second]) await one.shows("got that");
      assert.equal(first.size, "60x20");

      const third = viewer("third", { takeOver: true });
      await eventually(
        () => taken,
        (names) => names.length === 2,
      );
      assert.deepEqual(taken, ["first", "second"]);
      await third.type("at last\n");
      for (const one of [first, onlooker, second, third]) {
        await one.shows("got at last");
        assert.ok(!one.text.includes("not this"));
        await one.leave();
      }
      await beside.leave();
    });

    await step("signals are typed", async () => {
      await open(daemon, "echo ready; exec sleep 1000");
      const viewer = new Viewer(daemon);
      await viewer.shows("ready");
      await viewer.type("\u0003");
      assert.equal((await viewer.ended).signal, "INT");
    });

    await step("a flood grows the daemon by little, and a viewer who takes nothing gets the screen anew", async () => {
      await open(
        daemon,
        "read x; yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c 8000000; echo; echo finished; read x",
      );
      const stuck = Promise.withResolvers<void>();
      const quick = new Viewer(daemon);
      const slow = new Viewer(daemon, { onOutput: () => stuck.promise });
      await eventually(
        () => daemon.client.call("vm.terminal.get", { params: main }),
        ({ viewers }) => viewers === 2,
      );
      const before = await residentMiB(daemon);
      await quick.type("\n");
      await quick.shows("finished");
      const after = await residentMiB(daemon);
      assert.ok(after - before < 60, `the daemon grew from ${before} to ${after} MiB`);
      stuck.resolve();
      await slow.leave();
      const fresh = new Viewer(daemon);
      await fresh.shows("finished");
      await fresh.type("\n");
      assert.equal((await fresh.ended).exitCode, 0);
      await quick.ended;
    });

    await step("what is pasted arrives, however much", async () => {
      await open(daemon, "stty raw -echo; echo ready; head -c 3000000 | md5sum; read x");
      const viewer = new Viewer(daemon);
      await viewer.shows("ready");
      for (let piece = 0; piece < 30; piece += 1) await viewer.type("x".repeat(100_000));
      await viewer.shows("  -");
      const sum = createHash("md5").update("x".repeat(3_000_000)).digest("hex");
      assert.ok(viewer.text.includes(sum), viewer.text);
    });

    await step("deleting hangs up; what cannot start is said", async () => {
      await open(daemon, "trap '' HUP; echo ready; while :; do sleep 1; done", { id: "other" });
      const viewer = new Viewer(daemon, { terminal: "other" });
      await viewer.shows("ready");
      await daemon.client.call("vm.terminal.delete", { params: { ...vm, terminal: "other" } });
      assert.equal((await viewer.ended).signal, "KILL");
      await assert.rejects(open(daemon, "", { argv: ["/no/such"] }), { code: "command_not_found" });
      await assert.rejects(new Viewer(daemon, { terminal: "none" }).ended, { code: "not_found" });
      await assert.rejects(new Viewer(daemon, { vm: "none" }).ended, { code: "not_found" });
      await open(daemon, "sleep 1000");
      await assert.rejects(open(daemon, "sleep 1000"), { code: "guest_conflict" });
    });

    await daemon.client.call("vm.kill", { params: vm });
    await assert.rejects(new Viewer(daemon).ended, { code: "wrong_state" });
    await assertTidy(daemon);
  }));

async function residentMiB(daemon: TestDaemon): Promise<number> {
  const status = await fs.readFile(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}
