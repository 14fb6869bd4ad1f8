import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { runProcess, WorkfortError } from "@workfort/client";
import type { Progress } from "@workfort/contract";
import { withDaemon } from "@workfort/testing";
import { readAll } from "../helpers/server.ts";

/** The client against a real daemon and a real VM. */
test("the client and a real daemon", async (context) => {
  await withDaemon({}, async (daemon) => {
    const { client } = daemon;
    const params = { vm: "dev" };
    const step = async (name: string, work: () => Promise<void>): Promise<void> => {
      await context.test(name, work);
    };
    await daemon.importBase();

    await step("a start tells its steps and gives the VM", async () => {
      await client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
      const steps: Progress[] = [];
      const vm = await client.progress("vm.start", { params, body: {} }, (progress) => steps.push(progress));
      assert.deepEqual([vm.state, vm.agent], ["running", "ready"]);
      assert.ok(steps.length > 0);
    });

    await step("refusals are WorkfortErrors with fields and hints", async () => {
      await assert.rejects(client.call("vm.start", { params, body: {} }), {
        name: "WorkfortError",
        code: "wrong_state",
        hint: "nexusctl vm stop dev",
      });
      await assert.rejects(client.call("vm.create", { body: { name: "Ä", image: "base" } }), (error) => {
        assert.ok(error instanceof WorkfortError);
        assert.deepEqual(
          error.fields?.map(({ field }) => field),
          ["body.name"],
        );
        return true;
      });
      await assert.rejects(client.call("vm.get", { params: { vm: "../status" } }), { code: "invalid_request" });
    });

    await step("a process is started, listed, signalled, waited for and forgotten", async () => {
      const { id } = await client.call("process.start", { params, body: { argv: ["sleep", "600"] } });
      const process = { ...params, process: id };
      assert.ok((await client.call("process.list", { params })).processes.some((one) => one.id === id));
      const waiting = client.call("process.wait", { params: process });
      await client.call("process.signal", { params: process, body: { signal: "TERM" } });
      assert.equal((await waiting).signal, "TERM");
      await client.call("process.delete", { params: process });
      await assert.rejects(client.call("process.get", { params: process }), { code: "not_found" });
    });

    await step("much output reaches a slow reader whole", async () => {
      const hash = createHash("sha256");
      let bytes = 0;
      const ended = await runProcess(
        client,
        "dev",
        { argv: ["head", "-c", "20000000", "/dev/zero"] },
        {
          onStdout: async (piece) => {
            hash.update(piece);
            bytes += piece.length;
            if (bytes % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
          },
          onGap: () => assert.fail("bytes were lost"),
        },
      );
      assert.deepEqual([ended.exitCode, bytes], [0, 20_000_000]);
      assert.equal(hash.digest("hex"), createHash("sha256").update(Buffer.alloc(20_000_000)).digest("hex"));
    });

    await step("input that the daemon's death interrupts arrives whole, once", async () => {
      const input = randomBytes(4_000_000);
      let said = "";
      let breaks = 0;
      // the command reads only after the daemon has died and come back, so the input is under way meanwhile
      const ended = await runProcess(
        client,
        "dev",
        { argv: ["sh", "-c", "echo ready; while [ ! -e /tmp/go ]; do sleep 0.1; done; sha256sum"] },
        {
          stdin: pieces(input),
          onBreak: () => void (breaks += 1),
          onStdout: (bytes) => {
            said += Buffer.from(bytes).toString();
            if (said === "ready\n")
              void daemon.die().then(async () => {
                await daemon.start();
                await client.call("vm.exec", { params, body: { argv: ["touch", "/tmp/go"] } });
              });
          },
        },
      );
      assert.equal(ended.exitCode, 0);
      assert.ok(breaks > 0);
      assert.equal(said, `ready\n${createHash("sha256").update(input).digest("hex")}  -\n`);
    });

    await step("the console is a stream of bytes that ends with the VM", async () => {
      const { mediaType, body } = await client.bytes("vm.console", { params, query: { follow: "true" } });
      assert.equal(mediaType, "application/octet-stream");
      const console = readAll(body);
      await client.call("vm.kill", { params });
      assert.match((await console).toString(), /guest-agent .* ready/);
    });

    await step("what has no result gives undefined", async () => {
      assert.equal(await client.call("vm.delete", { params, query: {} }), undefined);
      assert.equal(await client.call("image.delete", { params: { image: "base" } }), undefined);
    });
  });
});

async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000) yield await Promise.resolve(bytes.subarray(at, at + 100_000));
}
