import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runProcess } from "@workfort/client";
import { nativePrograms, withDaemon } from "@workfort/testing";

const params = { vm: "dev" };

test("the agent serves AF_VSOCK as it serves the virtio-serial port: to root alone", () =>
  withDaemon({}, async (daemon) => {
    await daemon.importBase();
    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await daemon.client.call("vm.start", { params, body: {} });
    const copied = await runProcess(
      daemon.client,
      "dev",
      { argv: ["sh", "-c", "cat > /usr/bin/vsock-request && chmod 755 /usr/bin/vsock-request"] },
      { stdin: createReadStream(join(nativePrograms, "examples/vsock_request")) },
    );
    assert.equal(copied.exitCode, 0);
    const ask = async (user: string) =>
      await daemon.client.call("vm.exec", { params, body: { argv: ["vsock-request"], user } });
    const asRoot = await ask("root");
    assert.equal(asRoot.exitCode, 0, asRoot.stderr);
    const { protocol, bootId } = JSON.parse(asRoot.stdout) as Record<string, unknown>;
    const { stdout } = await daemon.client.call("vm.exec", {
      params,
      body: { argv: ["cat", "/proc/sys/kernel/random/boot_id"] },
    });
    assert.deepEqual([protocol, bootId], [1, stdout.trim()]);
    assert.notEqual((await ask("nobody")).exitCode, 0, "a user of the guest must not become root through the agent");
  }));
