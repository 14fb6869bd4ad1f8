import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, promises as fs } from "node:fs";
import type { ClientHttp2Session } from "node:http2";
import { createServer } from "node:net";
import { test } from "node:test";
import { eventually } from "@workfort/testing";
import { agentOver, askAgent, boot, connected, faultOf, outputOf } from "./firecracker-guest.ts";
import { isDouble, noContent, withProgram, type RunningProgram } from "./firecracker-program.ts";

/**
 * Firecracker's double with a guest in it, or Firecracker itself (firecracker-program.ts): booted by its API, reached by
 * its vsock, changed and ended.
 */
test("a guest boots, is spoken to, paused, resumed, changed and ended", { timeout: 300_000 }, async () => {
  await withProgram({ faults: "bridged-vsock", args: ["--boot-timer"] }, async (running) => {
    await boot(running, "workfort.boot-timer=c0000000");
    const early = running.connect("vsock").send("CONNECT 7300\n");
    const starting = running.ask('PUT /actions {"action_type":"InstanceStart"}');
    assert.match(await running.ask("GET /"), /"state":"Running"/); // served after the start, which was asked before
    assert.equal(await starting, noContent);

    assert.equal(await early.answers(), "", "who comes before the guest's driver is hung up on when it is up");
    const first = await connected(running);
    assert.match(first.received, /^OK 10737\d{5}\n/); // each line that was read has had a number
    const agent = agentOver(first);
    const { hostname, rootReadOnly } = JSON.parse(await askAgent(agent, "GET /v1/agent")) as Record<string, unknown>;
    assert.deepEqual([hostname, rootReadOnly], ["double", false]);
    assert.match(running.output, /guest-agent \S+ ready\r?\n/);
    assert.match(running.output, /Guest-boot-time =\s+\d+ us\s+\d+ ms,\s+\d+ CPU us\s+\d+ CPU ms\n/);

    if (isDouble) {
      assert.match(running.output, /Double: vsock is CONNECT bridged to virtio-serial; the guest sees no AF_VSOCK\.\n/);
      await withRefusedLines(running, ["CONNECT 7300\n"]); // one connection
    }
    await withRefusedLines(running, ["CONNECT 7301\n"]);

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
    assert.match(again.received, /^OK 10737\d{5}\n/);
    assert.match(await askAgent(agentOver(again), "GET /v1/agent"), /"hostname":"double"/);
    assert.equal(await running.ask('PUT /actions {"action_type":"SendCtrlAltDel"}'), noContent);
    assert.equal(await running.end(), 0);
    // a vCPU that was about to run again says so, now and then
    assert.match(
      running.output,
      /:main\] Vmm is stopping\.\n[^]*:main\] Killing vCPU threads\n(?:\S+ \[\S+:fc_vcpu \d\] Requested a vCPU run with immediate_exit enabled\..*\n)*\S+ \[\S+:main\] Firecracker exiting successfully\. exit_code=0\n$/,
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

test("the guest has an AF_VSOCK device; many connect to it, and it calls", { timeout: 300_000 }, async () => {
  await withProgram({}, async (running) => {
    await boot(running);
    assert.equal(await running.ask('PUT /actions {"action_type":"InstanceStart"}'), noContent);
    if (isDouble) assert.match(running.output, /Double: vsock is a vhost-user device; the guest sees AF_VSOCK\.\n/);
    const agent = agentOver(await connected(running));
    const list = "ls -d /sys/bus/virtio/drivers/vmw_vsock_virtio_transport/virtio*";
    assert.match(await outputOf(agent, ["sh", "-c", list]), /virtio_transport\/virtio\d/);
    await withRefusedLines(running, ["CONNECT 7301\n"]);
    const second = await connected(running);
    const other = agentOver(second);
    for (const session of [other, agent]) assert.match(await askAgent(session, "GET /v1/agent"), /"hostname":"double"/);
    await withCallsOfTheGuest(running, agent);
    other.destroy();
    agent.destroy();
    assert.equal(await running.ask('PUT /actions {"action_type":"SendCtrlAltDel"}'), noContent);
    assert.equal(await running.end(), 0);
  });
});

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

/** A guest that calls a port is connected to the socket of that name, where there is one. */
async function withCallsOfTheGuest(running: RunningProgram, agent: ClientHttp2Session): Promise<void> {
  // struct sockaddr_vm of linux/vm_sockets.h: AF_VSOCK is 40, the host's CID 2
  const call = (port: number): string[] => [
    "perl",
    "-e",
    `socket(S, 40, 1, 0) or die; connect(S, pack("SSLLx4", 40, 0, ${port}, 2)) or die "refused\\n";` +
      ` syswrite(S, "called"); sysread(S, $answer, 100); print "heard $answer";`,
  ];
  const server = createServer((socket) => {
    socket.once("data", (words) => socket.end(`${String(words)} back`));
  }).listen(`${running.path("vsock")}_5000`);
  try {
    await once(server, "listening");
    assert.match(await outputOf(agent, call(5000)), /heard called back/);
    assert.match(await outputOf(agent, call(5001)), /refused/);
  } finally {
    server.close();
  }
}

/** Nobody is at the port, or it is no line of this kind. */
async function withRefusedLines(running: RunningProgram, more: readonly string[]): Promise<void> {
  for (const line of ["CONNECT 1", "HELLO 7300\n", `CONNECT ${"0".repeat(32)}7300\n`, ...more]) {
    const refused = running.connect("vsock").send(line);
    assert.equal(await refused.answers(), "", line);
  }
}

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
    ['PUT /drives/b {"drive_id":"b","is_root_device":false,"path_on_host":"disk"}', after],
    ['PUT /network-interfaces/a {"iface_id":"a","host_dev_name":"a"}', after],
    [
      'PATCH /drives/root {"drive_id":"root","path_on_host":"/no/such"}',
      "Drive config error: Unable to patch the block device: Block: Virtio backend error: Error manipulating the backing file: No such file or directory (os error 2) /no/such Please verify the request arguments.",
    ],
    [
      'PATCH /drives/b {"drive_id":"b","path_on_host":"disk"}',
      "Drive config error: Unable to patch the block device: Failed perform action on device: Device not found Please verify the request arguments.",
    ],
    [
      'PATCH /balloon {"amount_mib":1000}',
      "Balloon update error: Balloon: Requested memory should be less than 1000MiB",
    ],
    ["PATCH /balloon/hinting/start {}", "Balloon update error: Balloon: Attempting to use hinting when not enabled"],
    ["GET /balloon/hinting/status", "Balloon update error: Balloon: Attempting to use hinting when not enabled"],
    [
      'PATCH /hotplug/memory {"requested_size_mib":1}',
      "Memory hotplug update error: Failed perform action on device: Device not found",
    ],
    ['PATCH /pmem/x {"id":"x"}', "Invalid request method and/or path: PATCH pmem."],
    ["GET /mmds", "MMDS error: The MMDS data store is not initialized."],
    ["GET /hotplug/memory", "Internal VMM error: Failed perform action on device: Device not found"],
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
    (answer) =>
      /{"target_pages":8192,"actual_pages":8192,"target_mib":32,"actual_mib":32,"swap_in":0,"swap_out":0,"major_faults":\d+,"minor_faults":\d+,"free_memory":\d+,"total_memory":\d+,"available_memory":\d+,"disk_caches":\d+,"hugetlb_allocations":0,"hugetlb_failures":0}$/.test(
        answer,
      ),
  );
  const disk = running.path("root.ext4");
  const bytes = (await fs.stat(disk)).size + 1024 * 1024;
  await fs.truncate(disk, bytes);
  const change = { drive_id: "root", path_on_host: disk, rate_limiter: { ops: { size: 1000, refill_time: 100 } } };
  assert.equal(await running.ask(`PATCH /drives/root ${JSON.stringify(change)}`), noContent);
  await eventually(
    () => outputOf(agent, ["cat", "/sys/class/block/vda/size"]),
    (output) => output.includes(String(bytes / 512)),
  );
}
