import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { eventually, testEnvironment } from "@workfort/testing";
import { agentOver, boot, bootSource, connected, faultOf, outputOf } from "./firecracker-guest.ts";
import { bytesOf, noContent, withBody, withProgram } from "./firecracker-program.ts";

/** What is the double's alone: its faults, and what is not the same at each run of Firecracker. */
const getVersion = "GET /version HTTP/1.1\r\n\r\n";
const version = '{"firecracker_version":"1.15.1"}';

test("a client that hangs up with its request is not answered", async () => {
  await withProgram({}, async (running) => {
    await running.ready();
    const connection = running.connect();
    connection.socket.end(getVersion);
    await eventually(
      () => connection.isClosed,
      (closed) => closed,
    );
    assert.equal(connection.received, "");
    assert.equal(await running.ask("GET /version"), withBody(200, version));
  });
});

test("a tap is one process's at a time", async () => {
  const claim = 'PUT /network-interfaces/a {"iface_id":"a","host_dev_name":"wfdouble9"}';
  await withProgram({}, async (first) => {
    await first.ready();
    assert.equal(await first.ask(claim), noContent);
    assert.equal(await first.ask(claim), noContent);
    await withProgram({}, async (second) => {
      await second.ready();
      assert.match(
        await second.ask(claim),
        /Resource busy \(os error 16\)\. Invalid TUN\/TAP Backend provided by wfdouble9/,
      );
      first.kill("SIGKILL");
      await first.end();
      assert.equal(await second.ask(claim), noContent);
    });
  });
});

test("faults that are asked for: late, another version, half an answer, none, an end", async () => {
  const faults = "slow-start,version:1.15.1,half:GET /version,exit:148:PUT /actions,hang:GET /machine-config";
  await withProgram({ faults }, async (running) => {
    await running.ready();
    assert.match(await running.ask("GET /"), /"vmm_version":"1\.15\.1"/);
    const half = running.connect().send(getVersion);
    await eventually(
      () => half.isClosed,
      (closed) => closed,
    );
    const whole = withBody(200, '{"firecracker_version":"1.15.1"}');
    assert.ok(half.received.length > 0 && half.received.length < whole.length && whole.startsWith(half.received));
    const ended = running.connect().send(bytesOf('PUT /actions {"action_type":"InstanceStart"}'));
    assert.equal(await running.end(), 148);
    assert.equal(await ended.answers(), "");
  });
  await withProgram({ faults }, async (running) => {
    await running.ready();
    const hung = running.connect().send(bytesOf("GET /machine-config"));
    const behind = running.connect().send(bytesOf("GET /")); // requests are served one at a time
    await eventually(
      () => running.output,
      (log) => log.includes("API server started"),
    );
    running.kill("SIGTERM");
    assert.equal(await hung.answers(), "");
    assert.equal(await behind.answers(), "");
  });
  await withProgram({ faults, args: ["--version"], withoutApi: true }, async (running) => {
    assert.equal(await running.end(), 0);
    assert.match(running.output, /^Firecracker v1\.15\.1\n/);
  });
});

test(
  "a configuration file boots a guest without an API, and its end is the process's",
  { timeout: 300_000 },
  async () => {
    const config = { "boot-source": await bootSource("workfort.probe"), drives: [] };
    const file = join(testEnvironment().root, "fc-config.json");
    await fs.writeFile(file, JSON.stringify(config));
    try {
      await withProgram({ args: ["--no-api", "--config-file", file], withoutApi: true }, async (running) => {
        assert.equal(await running.end(), 0);
        assert.match(running.output, /workfort-probe: ok\r?\n/);
        assert.deepEqual(await fs.readdir(running.directory), ["disk", "errors", "firecracker", "output"]);
      });
      await withProgram({ args: ["--config-file", file], faults: "poweroff-does-not-exit" }, async (running) => {
        await eventually(
          () => running.output,
          (output) => output.includes("workfort-probe: ok"),
        );
        await eventually(
          () => running.output,
          (output) => output.includes("reboot: "),
        );
        assert.match(await running.ask("GET /"), /"state":"Running"/);
        assert.equal(await running.ask('PATCH /vm {"state":"Paused"}'), noContent);
        assert.equal(running.hasEnded, false);
      });
    } finally {
      await fs.rm(file);
    }
  },
);

test("killed, it takes its guest along; with its vsock lost, nobody is connected", { timeout: 300_000 }, async () => {
  await withProgram({ faults: "lost-vsock" }, async (running) => {
    await boot(running);
    assert.equal(await running.ask('PUT /actions {"action_type":"InstanceStart"}'), noContent);
    assert.equal(await running.connect("vsock").send("CONNECT 7300\n").answers(), "");
    assert.equal((await running.guests()).length, 1);
    running.kill("SIGKILL");
    assert.equal(await running.end(), "SIGKILL");
    await eventually(
      () => running.guests(),
      (guests) => guests.length === 0,
    );
  });
});

test("faults of a guest that are asked for: no console, a late clock, a full disk", { timeout: 300_000 }, async () => {
  await withProgram({ faults: "bridged-vsock,lost-serial,late-clock:86400,full-disk" }, async (running) => {
    await boot(running);
    assert.equal(await running.ask('PUT /actions {"action_type":"InstanceStart"}'), noContent);
    const agent = agentOver(await connected(running));
    const [seconds] = /\d{10}/.exec(await outputOf(agent, ["date", "+%s"])) ?? [];
    const late = Date.now() / 1000 - Number(seconds);
    assert.ok(late > 86_000 && late < 87_000, `${late} s late`);
    assert.doesNotMatch(running.output, /guest-agent/);
    assert.equal(await running.ask('PATCH /vm {"state":"Paused"}'), noContent);
    assert.match(
      await faultOf(running, 'PUT /snapshot/create {"snapshot_path":"state","mem_file_path":"memory"}'),
      /^Create snapshot error: Cannot write memory file: Cannot dump memory: .*No space left on device \(os error 28\)$/,
    );
    assert.equal(await running.ask('PATCH /vm {"state":"Resumed"}'), noContent);
    assert.match(await outputOf(agentOver(await connected(running)), ["echo", "goes on"]), /goes on/);
  });
});
