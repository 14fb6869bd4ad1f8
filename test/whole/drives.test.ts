import assert from "node:assert/strict";
import { createReadStream, promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runProcess } from "@workfort/client";
import type { RateLimit } from "@workfort/contract";
import { runTool } from "@workfort/host/process/run.ts";
import { assertTidy, nativePrograms, withDaemon, type TestDaemon } from "@workfort/testing";
import { ask } from "./raw-http.ts";

const mebibyte = 1024 ** 2;

async function createVm(daemon: TestDaemon, name: string): Promise<void> {
  await daemon.client.call("vm.create", { body: { name, image: "base", memoryMiB: 256 } });
}

async function start(daemon: TestDaemon, vm: string): Promise<void> {
  await daemon.client.call("vm.start", { params: { vm }, body: {} });
}

async function stop(daemon: TestDaemon, vm: string): Promise<void> {
  await daemon.client.call("vm.stop", { params: { vm }, body: {} });
}

/** The limits of each disk, as its VMM has them. */
async function limitsOf(daemon: TestDaemon, vm: string): Promise<(RateLimit | null)[]> {
  const { running, id } = await daemon.client.call("vm.get", { params: { vm } });
  if (running?.kind === "firecracker") {
    const socketPath = join(daemon.locations.runtimeDirectory, "vms", id.replace("vm_", ""), "vmm/api");
    const { body } = await ask({ socketPath }, { path: "/vm/config" });
    const { drives } = JSON.parse(body.toString()) as {
      drives: { drive_id: string; rate_limiter: { bandwidth: { size: number }; ops: { size: number } } | null }[];
    };
    const inOrder = drives.toSorted((a, b) => a.drive_id.localeCompare(b.drive_id));
    return inOrder.map(({ rate_limiter: limiter }) =>
      limiter === null ? null : { bytesPerSecond: limiter.bandwidth.size, operationsPerSecond: limiter.ops.size },
    );
  }
  const command = await fs.readFile(`/proc/${running?.pid ?? 0}/cmdline`, "utf8");
  const drives = command.split("\0").filter((word) => word.includes("if=none"));
  return drives.map((option) => {
    const [, bytes, operations] = /throttling\.bps-total=(\d+),throttling\.iops-total=(\d+)/.exec(option) ?? [];
    return bytes === undefined ? null : { bytesPerSecond: Number(bytes), operationsPerSecond: Number(operations) };
  });
}

async function exec(daemon: TestDaemon, vm: string, script: string): Promise<string> {
  const answer = await daemon.client.call("vm.exec", {
    params: { vm },
    body: { argv: ["sh", "-c", script], timeoutMs: 60_000 },
  });
  assert.equal(answer.exitCode, 0, answer.stderr);
  return answer.stdout.trim();
}

async function attach(
  daemon: TestDaemon,
  drive: string,
  vm: string,
  how: { mountPath?: string; readOnly?: boolean; rateLimit?: object } = {},
): Promise<unknown> {
  return await daemon.client.call("drive.attach", { params: { drive }, body: { vm, ...how } });
}

/** the file behind a drive */
async function fileOf(daemon: TestDaemon, drive: string): Promise<string> {
  const { id } = await daemon.client.call("drive.get", { params: { drive } });
  return join(daemon.locations.dataDirectory, "drives", id.slice(4), "drive.ext4");
}

/** A project with everything that a copy could lose. */
async function makeProject(directory: string): Promise<void> {
  await fs.mkdir(join(directory, ".git/refs"), { recursive: true });
  await fs.mkdir(join(directory, "empty"));
  await fs.writeFile(join(directory, ".git/HEAD"), "ref: refs/heads/main\n");
  await fs.writeFile(join(directory, "secret"), "x", { mode: 0o600 });
  await fs.writeFile(join(directory, "tool"), "#!/bin/sh\n");
  await fs.symlink(".git/HEAD", join(directory, "head"));
  await fs.symlink("/etc/hostname", join(directory, "absolute"));
  await fs.chown(join(directory, "tool"), 1001, 70_000);
  await fs.chmod(join(directory, "tool"), 0o4755);
  await fs.chown(directory, 1000, 1000);
  await fs.chmod(directory, 0o2770);
}

test("drives of a VM: made, attached, used, copied, resized; nothing is touched while the VM runs", () =>
  withDaemon({}, async (daemon) => {
    const { client } = daemon;
    const project = join(daemon.directory, "project");
    await makeProject(project);
    await daemon.importBase();
    for (const vm of ["dev", "other"]) await createVm(daemon, vm);

    const src = await client.call("drive.create", { body: { name: "src", from: project } });
    assert.ok(src.sizeBytes >= 256 * mebibyte && src.sizeBytes < 300 * mebibyte, `${src.sizeBytes}`);
    assert.deepEqual([src.source, src.attachment], [project, null]);
    await client.call("drive.create", { body: { name: "scratch", sizeBytes: 64 * mebibyte } });
    const plain = await client.call("drive.create", { body: { name: "plain" } });
    assert.deepEqual([plain.sizeBytes, plain.source], [10 * 1024 ** 3, null]);
    const { exclusiveBytes } = await client.call("drive.get", { params: { drive: "plain" } });
    assert.ok(exclusiveBytes < 64 * mebibyte, `an empty drive takes ${exclusiveBytes} bytes`);

    // in an order in which the second must be mounted first
    const limits = { bytesPerSecond: 50_000_000, operationsPerSecond: 1000 };
    await attach(daemon, "scratch", "dev", { mountPath: "/srv/my project/tmp", rateLimit: limits });
    await attach(daemon, "src", "dev", { mountPath: "/srv//my project/" });
    await attach(daemon, "plain", "dev");
    await assert.rejects(attach(daemon, "src", "other"), { code: "in_use", message: /attached to VM "dev"/ });
    await assert.rejects(client.call("drive.delete", { params: { drive: "src" } }), { code: "in_use" });
    const { drives } = await client.call("vm.get", { params: { vm: "dev" } });
    assert.deepEqual(
      drives.map(({ id: _, ...drive }) => drive),
      [
        { name: "scratch", device: "vdb", mountPath: "/srv/my project/tmp", readOnly: false },
        { name: "src", device: "vdc", mountPath: "/srv/my project", readOnly: false },
        { name: "plain", device: "vdd", mountPath: null, readOnly: false },
      ],
    );

    await start(daemon, "dev");
    const seen = await exec(
      daemon,
      "dev",
      "cd '/srv/my project' && find . -name lost+found -prune -o -printf '%p %m %U:%G %y %l\\n' | sort",
    );
    assert.deepEqual(
      seen.split("\n").map((line) => line.trimEnd()),
      [
        ". 2770 1000:1000 d",
        "./.git 755 0:0 d",
        "./.git/HEAD 644 0:0 f",
        "./.git/refs 755 0:0 d",
        "./absolute 777 0:0 l /etc/hostname",
        "./empty 755 0:0 d",
        "./head 777 0:0 l .git/HEAD",
        "./secret 600 0:0 f",
        "./tmp 755 0:0 d",
        "./tool 4755 1001:70000 f",
      ],
    );
    const mounted = await exec(daemon, "dev", "grep /dev/vd /proc/mounts | sort | cut -d' ' -f1-4");
    assert.deepEqual(
      mounted.split("\n").map((line) => line.split(",").slice(0, 3).join(",")),
      [
        "/dev/vda / ext4 rw,noatime",
        "/dev/vdb /srv/my\\040project/tmp ext4 rw,nosuid,nodev",
        "/dev/vdc /srv/my\\040project ext4 rw,nosuid,nodev",
      ],
    );
    assert.deepEqual(await limitsOf(daemon, "dev"), [null, limits, null, null]);

    // the daemon dies while the VM works with its drives
    await exec(daemon, "dev", "echo ours > '/srv/my project/note'; echo on > '/srv/my project/tmp/on'");
    await daemon.die();
    await daemon.start();
    await assertTidy(daemon);
    const touching: [drive: string, () => Promise<unknown>][] = [
      ["wrong_state", () => client.call("drive.detach", { params: { drive: "src" } })],
      ["wrong_state", () => client.call("drive.create", { body: { name: "copy", snapshotOf: "src" } })],
      ["wrong_state", () => client.call("drive.resize", { params: { drive: "src" }, body: { sizeBytes: 1024 ** 3 } })],
      ["in_use", () => client.call("drive.delete", { params: { drive: "src" } })],
    ];
    for (const [code, touch] of touching) await assert.rejects(touch(), { code });
    await client.call("drive.create", { body: { name: "late", sizeBytes: 32 * mebibyte } });
    await assert.rejects(attach(daemon, "late", "dev"), { code: "wrong_state", message: /VM "dev" is running/ });
    assert.equal(await exec(daemon, "dev", "cat '/srv/my project/note'"), "ours");
    await stop(daemon, "dev");
    for (const drive of ["src", "scratch"]) await runTool(["e2fsck", "-f", "-n", await fileOf(daemon, drive)]);

    // a snapshot for another VM, which cannot change it; the original grows
    const copy = await client.call("drive.create", { body: { name: "copy", snapshotOf: "src" } });
    assert.deepEqual([copy.sizeBytes, copy.source], [src.sizeBytes, "src"]);
    await attach(daemon, "copy", "other", { mountPath: "/work", readOnly: true });
    await assert.rejects(
      client.call("drive.resize", { params: { drive: "src" }, body: { sizeBytes: 64 * mebibyte } }),
      { code: "wrong_state", message: /cannot be made smaller/ },
    );
    const grown = await client.call("drive.resize", { params: { drive: "src" }, body: { sizeBytes: 1024 ** 3 } });
    assert.equal(grown.sizeBytes, 1024 ** 3);
    await daemon.stop();
    await daemon.start();
    await assertTidy(daemon);
    await start(daemon, "other");
    assert.equal(
      await exec(daemon, "other", "cat /work/note; touch /work/x 2>/dev/null || echo read-only"),
      "ours\nread-only",
    );
    await assert.rejects(exec(daemon, "other", "echo x > /dev/vdb"), "nor by its device");
    await stop(daemon, "other");
    await client.call("vm.delete", { params: { vm: "other" } });
    assert.equal((await client.call("drive.get", { params: { drive: "copy" } })).attachment, null);

    await client.call("drive.detach", { params: { drive: "scratch" } });
    await assert.rejects(client.call("drive.detach", { params: { drive: "scratch" } }), { code: "wrong_state" });
    await start(daemon, "dev");
    const [device, kilobytes = "", note] = (
      await exec(daemon, "dev", "cd '/srv/my project'; df -k --output=source,size . | tail -1; cat note")
    ).split(/\s+/);
    assert.deepEqual([device, note], ["/dev/vdb", "ours"], "what follows a detached drive moves up");
    assert.ok(Number(kilobytes) > 950 * 1024, `df says ${kilobytes} KiB`);
    await client.call("vm.kill", { params: { vm: "dev" } });
    await client.call("vm.delete", { params: { vm: "dev" } });
    for (const { name, attachment } of (await client.call("drive.list")).drives) {
      assert.equal(attachment, null);
      await client.call("drive.delete", { params: { drive: name } });
    }
    await assertTidy(daemon);
  }));

test("devices are in the order of attaching, a mount that fails is told, and a killed VM's drive is read whole", () =>
  withDaemon({}, async (daemon) => {
    const { client } = daemon;
    await daemon.importBase();
    await createVm(daemon, "dev");
    const names = Array.from({ length: 13 }, (_, index) => `d${index}`);
    const sizes = names.map((_, index) => (32 + ((index * 7) % 16)) * mebibyte);
    for (const [index, name] of names.entries())
      await client.call("drive.create", { body: { name, sizeBytes: sizes[index] ?? 0 } });
    const longest = `/${"w".repeat(199)}`;
    const paths: Record<string, string> = { d0: "/work", d1: "/etc/hostname/x", d2: "/gone", d3: longest };
    for (const name of names.slice(0, 12))
      await attach(daemon, name, "dev", paths[name] === undefined ? {} : { mountPath: paths[name] });
    await assert.rejects(attach(daemon, "d12", "dev"), { code: "too_many", message: /12 data drives/ });
    await client.call("drive.detach", { params: { drive: "d11" } });
    await assert.rejects(attach(daemon, "d12", "dev", { mountPath: "/work" }), { code: "in_use" });
    await assert.rejects(attach(daemon, "d12", "dev", { mountPath: `${longest}w` }), { code: "invalid_request" });
    await attach(daemon, "d12", "dev");
    await fs.truncate(await fileOf(daemon, "d2"), 0); // no file system any more
    await fs.truncate(await fileOf(daemon, "d2"), sizes[2]);

    await start(daemon, "dev");
    const sectors = await exec(daemon, "dev", "for d in b c d e f g h i j k l m; do cat /sys/block/vd$d/size; done");
    assert.deepEqual(
      sectors.split("\n").map((count) => Number(count) * 512),
      [...sizes.slice(0, 11), sizes[12]],
    );
    assert.equal(await exec(daemon, "dev", `df --output=source /work ${longest} | tail -2`), "/dev/vdb\n/dev/vde");
    const { body } = await client.bytes("vm.console", { params: { vm: "dev" } });
    const console = Buffer.concat(await Array.fromAsync(body)).toString();
    assert.match(
      console,
      /guest-agent: the drive vdc cannot be mounted on "\/etc\/hostname\/x": the directory cannot be used: /,
    );
    assert.match(console, /guest-agent: the drive vdd cannot be mounted on "\/gone": /);
    const copied = await runProcess(
      client,
      "dev",
      { argv: ["sh", "-c", "cat > /usr/bin/vsock-request && chmod 755 /usr/bin/vsock-request"] },
      { stdin: createReadStream(join(nativePrograms, "examples/vsock_request")) },
    );
    assert.equal(copied.exitCode, 0);
    const about = JSON.parse(await exec(daemon, "dev", "vsock-request")) as { failedMounts: Record<string, string>[] };
    assert.deepEqual(
      about.failedMounts.map(({ device, path }) => [device, path]),
      [
        ["vdd", "/gone"],
        ["vdc", "/etc/hostname/x"],
      ],
    );

    const { warnings } = await client.call("vm.get", { params: { vm: "dev" } });
    assert.deepEqual(
      warnings.map((warning) => warning.replace(/: .*/, "")),
      ["drive vdd could not be mounted on /gone", "drive vdc could not be mounted on /etc/hostname/x"],
    );

    // what is only in the journal is seen by one who cannot replay it
    await exec(daemon, "dev", "echo kept > /work/note; sync -f /work");
    await client.call("vm.kill", { params: { vm: "dev" } });
    await client.call("drive.create", { body: { name: "copy", snapshotOf: "d0" } });
    const features = async (drive: string): Promise<string> =>
      (await runTool(["dumpe2fs", "-h", await fileOf(daemon, drive)])).stdout;
    assert.match(await features("copy"), /needs_recovery/);
    for (const name of ["d0", "d1", "d2"]) await client.call("drive.detach", { params: { drive: name } });
    await attach(daemon, "copy", "dev", { mountPath: "/copy", readOnly: true });
    assert.doesNotMatch(await features("copy"), /needs_recovery/);
    await start(daemon, "dev");
    assert.equal(await exec(daemon, "dev", "cat /copy/note"), "kept");
    await assertTidy(daemon);
  }));

test("what cannot become a drive is refused, and leaves nothing", () =>
  withDaemon({ withoutKernel: true }, async (daemon) => {
    const { client } = daemon;
    const file = join(daemon.directory, "file");
    await fs.writeFile(file, "x");
    const create = (body: Parameters<typeof client.call<"drive.create">>[1]["body"]): Promise<unknown> =>
      client.call("drive.create", { body });
    await create({ name: "data", sizeBytes: 33 * mebibyte + 1 });
    assert.equal((await client.call("drive.get", { params: { drive: "data" } })).sizeBytes, 34 * mebibyte);
    await assert.rejects(create({ name: "data" }), { code: "name_taken" });
    await assert.rejects(create({ name: "a", from: file }), { code: "invalid_image", message: /not a directory/ });
    await assert.rejects(create({ name: "a", from: "/no/such" }), { code: "invalid_image" });
    await assert.rejects(create({ name: "a", from: "relative" }), { code: "invalid_request" });
    await assert.rejects(create({ name: "a", from: "/tmp", snapshotOf: "data" }), { code: "invalid_request" });
    await assert.rejects(create({ name: "a", snapshotOf: "data", sizeBytes: 1024 ** 3 }), { code: "invalid_request" });
    await assert.rejects(create({ name: "a", snapshotOf: "none" }), { code: "not_found" });
    await assert.rejects(create({ name: "a", sizeBytes: 1 }), { code: "invalid_request" });
    await assert.rejects(attach(daemon, "data", "none"), { code: "not_found" });
    for (const mountPath of ["/", "work", "/a/../b", "/dev/shm/x", "/proc", "/./", "/\ud800"])
      await assert.rejects(attach(daemon, "data", "none", { mountPath }), { code: "invalid_request" }, mountPath);

    // of two that race, one is refused
    const twins = await Promise.allSettled([create({ name: "twin" }), create({ name: "twin" })]);
    assert.deepEqual(twins.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    const meanwhile = await Promise.allSettled([
      client.call("drive.resize", { params: { drive: "twin" }, body: { sizeBytes: 11 * 1024 ** 3 } }),
      create({ name: "copy", snapshotOf: "twin" }),
      client.call("drive.delete", { params: { drive: "twin" } }),
    ]);
    const refusals = meanwhile.flatMap((one) =>
      one.status === "rejected" ? [(one.reason as { code: string }).code] : [],
    );
    assert.ok(
      refusals.length < 3 && refusals.every((code) => code === "in_use" || code === "not_found"),
      refusals.join(),
    );
    await assertTidy(daemon);

    // a file system that a guest has destroyed cannot grow, and stays as it was
    const disk = await fileOf(daemon, "data");
    await fs.writeFile(disk, Buffer.alloc(mebibyte), { flag: "r+" });
    await assert.rejects(
      client.call("drive.resize", { params: { drive: "data" }, body: { sizeBytes: 64 * mebibyte } }),
      { code: "invalid_image", message: /e2fsck/ },
    );
    assert.deepEqual(
      [(await fs.stat(disk)).size, (await client.call("drive.get", { params: { drive: "data" } })).sizeBytes],
      [34 * mebibyte, 34 * mebibyte],
    );
    await assertTidy(daemon);
  }));
