import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertTidy, withDaemon } from "@workfort/testing";

const params = { vm: "dev" };

test("runs without privilege", () => assert.notEqual(process.getuid?.(), 0));

test("everything but the mount of the store: import, create, start, work, stop, delete", () =>
  withDaemon({}, async (daemon) => {
    await daemon.importBase();
    const tree = join(daemon.directory, "tree");
    await fs.mkdir(join(tree, "etc"), { recursive: true });
    await fs.writeFile(join(tree, "etc/motd"), "hello\n");
    const small = await daemon.client.call("image.import", { body: { name: "small", source: tree } });
    assert.ok(small.sizeBytes >= 256 * 1024 ** 2);
    await daemon.client.call("image.delete", { params: { image: "small" } });

    await daemon.client.call("vm.create", { body: { name: "dev", image: "base", memoryMiB: 256 } });
    await daemon.client.call("vm.start", { params, body: {} });
    const { stdout } = await daemon.client.call("vm.exec", {
      params,
      body: { argv: ["sh", "-c", "id -un; stat -c %U:%G /etc/shadow"] },
    });
    assert.equal(stdout, "root\nroot:shadow\n");
    await daemon.die();
    await daemon.start();
    await daemon.client.call("vm.stop", { params, body: {} });
    const usage = await daemon.client.call("workspace.get", { params: { workspace: "dev" } });
    assert.ok(usage.exclusiveBytes > 0 && usage.sharedBytes > usage.exclusiveBytes);
    await daemon.client.call("vm.delete", { params });
    await daemon.client.call("image.delete", { params: { image: "base" } });
    await assertTidy(daemon);
  }));
