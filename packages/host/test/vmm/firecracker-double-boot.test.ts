import assert from "node:assert/strict";
import { existsSync, promises as fs } from "node:fs";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { join } from "node:path";
import { test } from "node:test";
import { eventually, nativePrograms, testEnvironment } from "@workfort/testing";
import { ensureInitramfs } from "../../src/assets/initramfs.ts";
import { withProgram, type Connection, type RunningProgram } from "./firecracker-program.ts";

/** The double of Firecracker with a guest in it: booted by its API, reached by its vsock, ended in each way. */
const bootArguments = "console=ttyS0 quiet panic=-1 reboot=k 8250.nr_uarts=1 i8042.noaux i8042.nomux i8042.dumbkbd";
const noContent = "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n";

async function bootSource(more = ""): Promise<Record<string, string>> {
  const { kernelDirectory } = testEnvironment();
  return {
    kernel_image_path: join(kernelDirectory, "vmlinux"),
    initrd_path: await ensureInitramfs(kernelDirectory, join(nativePrograms, "guest-agent")),
    boot_args: `${bootArguments} ${more}`.trim(),
  };
}

/** Puts it all together; the VM is started, but its guest may not be up yet. */
async function boot(running: RunningProgram): Promise<void> {
  const disk = running.path("root.ext4");
  await fs.copyFile(testEnvironment().rootfsImage, disk, fs.constants.COPYFILE_FICLONE);
  const drive = { drive_id: "root", path_on_host: disk, is_root_device: false, cache_type: "Writeback" };
  const requests: [string, unknown][] = [
    ["/metrics", { metrics_path: "metrics" }],
    ["/machine-config", { vcpu_count: 2, mem_size_mib: 192 }],
    ["/boot-source", await bootSource("workfort.hostname=double")],
    ["/drives/root", drive],
    ["/vsock", { guest_cid: 3, uds_path: "vsock" }],
    ["/entropy", {}],
    ["/balloon", { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 1, free_page_reporting: true }],
  ];
  await running.ready();
  for (const [path, body] of requests)
    assert.equal(await running.ask(`PUT ${path} ${JSON.stringify(body)}`), noContent, path);
}

/** Speaks to the agent over a connection that has been answered. */
function agentOver({ socket, received }: Connection): ClientHttp2Session {
  socket.pause().removeAllListeners("data");
  socket.unshift(Buffer.from(received.slice(received.indexOf("\n") + 1), "latin1"));
  return connectHttp2("http://agent", { createConnection: () => socket }).on("error", () => {});
}

async function askAgent(agent: ClientHttp2Session, request: string): Promise<string> {
  const [method = "", path = "", ...body] = request.split(" ");
  const stream = agent.request({ ":method": method, ":path": path, "content-type": "application/json" });
  if (body.length > 0) stream.end(body.join(" "));
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return text;
}

async function faultOf(running: RunningProgram, request: string): Promise<string> {
  return /"fault_message":"(.*)"}$/.exec(await running.ask(request))?.[1] ?? "";
}

test("a guest boots, is spoken to, paused, resumed, changed and ended", { timeout: 300_000 }, async () => {
  await withProgram({ args: ["--boot-timer"], faults: "bridged-vsock" }, async (running) => {
    await boot(running);
    const early = running.connect("vsock").send("CONNECT 7300\n");
    const starting = running.ask('PUT /actions {"action_type":"InstanceStart"}');
    assert.match(await running.ask("GET /"), /"state":"Running"/); // served after the start, which was asked before
    assert.equal(await starting, noContent);

    await eventually(
      () => early.received,
      (text) => text.includes("\n"),
    );
    assert.match(early.received, /^OK 1073741824\n/);
    const agent = agentOver(early);
    const { hostname, rootReadOnly } = JSON.parse(await askAgent(agent, "GET /v1/agent")) as Record<string, unknown>;
    assert.deepEqual([hostname, rootReadOnly], ["double", false]);
    assert.match(running.output, /guest-agent \S+ ready\r?\n/);
    assert.match(running.output, /Guest-boot-time =\s+\d+ us\s+\d+ ms,\s+\d+ CPU us\s+\d+ CPU ms\n/);

    assert.match(running.output, /Double: vsock is CONNECT bridged to virtio-serial; the guest sees no AF_VSOCK\.\n/);
    await withRefusedLines(running, ["CONNECT 7301\n", "CONNECT 7300\n"]); // the one port, and one connection

    await withPhaseChecks(running);
    assert.equal(await running.ask('PATCH /vm {"state":"Paused"}'), noContent);
    assert.equal(await running.ask('PATCH /vm {"state":"Paused"}'), noContent);
    let answered = false;
    const late = askAgent(agent, "GET /v1/agent").finally(() => (answered = true));
    assert.match(await running.ask("GET /"), /"state":"Paused"/);
    assert.match(await running.ask("GET /vm/config"), /"vsock":{"guest_cid":3,"uds_path":"vsock"}/);
    assert.equal(answered, false);
    assert.equal(await running.ask('PATCH /vm {"state":"Resumed"}'), noContent);
    assert.match(await late, /"hostname":"double"/);

    await withDeviceChanges(running, agent);
    agent.destroy();
    const again = await connected(running);
    assert.match(again.received, /^OK 1073741825\n/);
    assert.match(await askAgent(agentOver(again), "GET /v1/agent"), /"hostname":"double"/);
    assert.equal(await running.ask('PUT /actions {"action_type":"SendCtrlAltDel"}'), noContent);
    assert.equal(await running.end(), 0);
    assert.match(
      running.output,
      /:main\] Vmm is stopping\.\n\S+ \[\S+:main\] Firecracker exiting successfully\. exit_code=0\n$/,
    );
    assert.ok(existsSync(running.path("api")) && existsSync(running.path("vsock")));
    const metrics = running
      .read("metrics")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, object>);
    assert.equal(metrics.length, 3); // at the start, when asked, at the end
    assert.deepEqual(
      metrics.map((line) => Reflect.get(line["put_api_requests"] ?? {}, "drive_count")),
      [1, 1, 0], // the second one was refused
    );
    assert.ok("block_root" in (metrics[0] ?? {}));
  });
});

/** Nobody is at the port, or it is no line of this kind. */
async function withRefusedLines(running: RunningProgram, more: readonly string[]): Promise<void> {
  for (const line of ["CONNECT 1", "HELLO 7300\n", `CONNECT ${"0".repeat(32)}7300\n`, ...more]) {
    const refused = running.connect("vsock").send(line);
    assert.equal(await refused.answers(), "", line);
  }
}

test("the guest has an AF_VSOCK device, to which many connect at once", { timeout: 300_000 }, async () => {
  await withProgram({}, async (running) => {
    await boot(running);
    const early = running.connect("vsock").send("CONNECT 7300\n");
    assert.equal(await running.ask('PUT /actions {"action_type":"InstanceStart"}'), noContent);
    assert.match(running.output, /Double: vsock is a vhost-user device; the guest sees AF_VSOCK\.\n/);
    await eventually(
      () => early.received,
      (text) => text.includes("\n"),
    );
    assert.match(early.received, /^OK 1073741824\n/);
    const agent = agentOver(early);
    const list = "ls -d /sys/bus/virtio/drivers/vmw_vsock_virtio_transport/virtio*";
    const start = { argv: ["sh", "-c", list], attach: true };
    assert.match(await askAgent(agent, `POST /v1/processes ${JSON.stringify(start)}`), /virtio_transport\/virtio\d/);
    await withRefusedLines(running, ["CONNECT 7301\n"]);
    const second = await connected(running);
    assert.match(second.received, /^OK 1073741825\n/);
    const other = agentOver(second);
    for (const session of [other, agent]) assert.match(await askAgent(session, "GET /v1/agent"), /"hostname":"double"/);
    other.destroy();
    agent.destroy();
    assert.equal(await running.ask('PUT /actions {"action_type":"SendCtrlAltDel"}'), noContent);
    assert.equal(await running.end(), 0);
  });
});

/** What a started VM refuses, and what it says of itself. */
async function withPhaseChecks(running: RunningProgram): Promise<void> {
  const after = "The requested operation is not supported after starting the microVM.";
  const cases: [string, string][] = [
    ['PUT /actions {"action_type":"InstanceStart"}', after],
    ['PUT /machine-config {"vcpu_count":1,"mem_size_mib":128}', after],
    ['PATCH /machine-config {"vcpu_count":1}', after],
    ['PUT /boot-source {"kernel_image_path":"disk"}', after],
    ['PUT /vsock {"guest_cid":3,"uds_path":"other"}', after],
    ['PUT /balloon {"amount_mib":0,"deflate_on_oom":true}', after],
    ["PUT /entropy {}", after],
    ["PUT /serial {}", after],
    ["PUT /logger {}", after],
    ['PUT /metrics {"metrics_path":"other"}', after],
    ['PUT /mmds/config {"network_interfaces":["a"],"version":"V2"}', after],
    ['PUT /snapshot/load {"snapshot_path":"a","mem_backend":{"backend_type":"File","backend_path":"b"}}', after],
    ['PUT /drives/b {"drive_id":"b","is_root_device":false,"path_on_host":"disk"}', "PCI is not enabled"],
    ['PUT /network-interfaces/a {"iface_id":"a","host_dev_name":"a"}', "PCI is not enabled"],
    ["DELETE /drives/root", "PCI is not enabled"],
    ["GET /mmds", "MMDS error: The MMDS data store is not initialized."],
    ["GET /hotplug/memory", "Internal VMM error: Failed perform action on device: Device not found"],
    [
      'PUT /snapshot/create {"snapshot_path":"a","mem_file_path":"b"}',
      "Create snapshot error: Cannot save the microVM state: Operation not allowed: save/restore unavailable while running",
    ],
    [
      'PATCH /drives/root {"drive_id":"root"}',
      "Drive config error: Unable to patch the block device: Block: Running method expected different backend. Please verify the request arguments.",
    ],
    [
      'PATCH /network-interfaces/a {"iface_id":"a"}',
      "Network config error: Unable to update the net device: Failed perform action on device: Device not found",
    ],
    [
      'PATCH /balloon/statistics {"stats_polling_interval_s":0}',
      "Balloon update error: Balloon: Statistics cannot be enabled/disabled after activation.",
    ],
  ];
  for (const [request, fault] of cases) assert.equal(await faultOf(running, request), fault, request);
  assert.equal(await running.ask('PUT /actions {"action_type":"FlushMetrics"}'), noContent);
}

/** The balloon takes memory from the guest, and a drive's new size and limits reach it. */
async function withDeviceChanges(running: RunningProgram, agent: ClientHttp2Session): Promise<void> {
  assert.equal(await running.ask('PATCH /balloon {"amount_mib":32}'), noContent);
  await eventually(
    () => running.ask("GET /balloon/statistics"),
    (answer) => answer.endsWith('{"target_pages":8192,"actual_pages":8192,"target_mib":32,"actual_mib":32}'),
  );
  const disk = running.path("root.ext4");
  const bytes = (await fs.stat(disk)).size + 1024 * 1024;
  await fs.truncate(disk, bytes);
  const change = { drive_id: "root", path_on_host: disk, rate_limiter: { ops: { size: 1000, refill_time: 100 } } };
  assert.equal(await running.ask(`PATCH /drives/root ${JSON.stringify(change)}`), noContent);
  const start = { argv: ["cat", "/sys/class/block/vda/size"], attach: true };
  await eventually(
    () => askAgent(agent, `POST /v1/processes ${JSON.stringify(start)}`),
    (output) => output.includes(String(bytes / 512)),
  );
}

/** A connection that is answered; the one before may not be gone yet. */
async function connected(running: RunningProgram): Promise<Connection> {
  return await eventually(
    async () => {
      const connection = running.connect("vsock").send("CONNECT 7300\n");
      await eventually(
        () => connection.isClosed || connection.received.includes("\n"),
        (settled) => settled,
      );
      return connection;
    },
    (connection) => !connection.isClosed,
  );
}

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

test("a guest with more devices than interrupt lines is not started", async () => {
  // the words for the last but one as the real 1.15.1 said them
  for (const [devices, words] of [
    [18, "Error while registering ACPI with KVM: VMClock: Could not allocate GSI"],
    [19, "Error while registering ACPI with KVM: VMGenID: Could not allocate GSI"],
    [20, "MMIO transport error: Failed to allocate requested resource"],
  ] as const)
    await withProgram({}, async (running) => {
      await boot(running);
      const body = { path_on_host: running.path("root.ext4"), is_root_device: false, is_read_only: true };
      for (let index = 4; index < devices; index += 1)
        assert.equal(
          await running.ask(`PUT /drives/more${index} ${JSON.stringify({ drive_id: `more${index}`, ...body })}`),
          noContent,
        );
      assert.equal(
        await faultOf(running, 'PUT /actions {"action_type":"InstanceStart"}'),
        `Start microvm error: Could not attach device: ${words}: The requested resource is not available.`,
      );
    });
});

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
