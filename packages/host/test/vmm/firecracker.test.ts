import assert from "node:assert/strict";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { VmSpec } from "@workfort/core";
import { FirecrackerApi, FirecrackerError } from "../../src/vmm/firecracker/api.ts";
import { settingsOf } from "../../src/vmm/firecracker/configuration.ts";
import { manner } from "../../src/vmm/firecracker/manner.ts";
import { hostPlaces, jailPlaces } from "../../src/vmm/firecracker/places.ts";
import { refuseVersion } from "../../src/vmm/firecracker/version.ts";
import { openVsock } from "../../src/vmm/firecracker/vsock.ts";

/** A Unix socket whose connections are handled by `serve`, one after the other. */
async function withSocket(
  serve: (socket: Socket, connection: number) => void,
  use: (path: string, server: Server) => Promise<void>,
): Promise<void> {
  const directory = await fs.mkdtemp(join(tmpdir(), "fc-"));
  const path = join(directory, "socket");
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket.on("error", () => {}));
    serve(socket, (connections += 1));
  });
  server.listen(path);
  await once(server, "listening");
  try {
    await use(path, server);
  } finally {
    for (const socket of open) socket.destroy();
    server.close();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

/** Answers each request that has arrived whole with the next of these bytes, and keeps the requests. */
function answering(answers: readonly string[], requests: string[]): (socket: Socket) => void {
  const left = [...answers];
  return (socket) => {
    let held = "";
    socket.on("data", (chunk) => {
      held += chunk.toString("latin1");
      for (;;) {
        const head = held.indexOf("\r\n\r\n");
        if (head < 0) return;
        const length = Number(/content-length: (\d+)/i.exec(held.slice(0, head))?.[1] ?? 0);
        if (held.length < head + 4 + length) return;
        requests.push(held.slice(0, head + 4 + length));
        held = held.slice(head + 4 + length);
        const answer = left.shift();
        if (answer === undefined) socket.destroy();
        else socket.write(answer);
      }
    });
  };
}

const noContent = "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n";
const withBody = (status: number, body: string): string =>
  `HTTP/1.1 ${status} \r\nServer: Firecracker API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

test("requests go over one connection with their length, and heads without a reason are understood", async () => {
  const requests: string[] = [];
  let connections = 0;
  const serve = answering([noContent, withBody(200, '{"state":"Running"}'), noContent], requests);
  await withSocket(
    (socket) => {
      connections += 1;
      serve(socket);
    },
    async (path) => {
      const api = new FirecrackerApi(path, new AbortController().signal);
      assert.equal(await api.call("PUT", "/machine-config", { vcpu_count: 1, name: "ü" }), undefined);
      assert.deepEqual(await api.call("GET", "/"), { state: "Running" });
      await api.call("PATCH", "/vm", { state: "Paused" });
      api.close();
    },
  );
  assert.equal(connections, 1);
  assert.match(requests[0] ?? "", /^PUT \/machine-config HTTP\/1\.1\r\n/);
  assert.match(requests[0] ?? "", /content-length: 28\r\n/i);
  assert.doesNotMatch(requests.join(""), /transfer-encoding/i);
});

test("requests made at once go together, and each has the answer of its own, wherever the bytes are cut", async () => {
  const answers = noContent + withBody(400, '{"fault_message":"no"}') + withBody(200, '{"n":"ü"}') + noContent;
  for (const pieceBytes of [1, 7, 1000]) {
    const requests: string[] = [];
    let reads = 0;
    const serve = answering(["", "", "", ""], requests);
    await withSocket(
      (socket) => {
        serve(socket);
        socket.on("data", () => {
          reads += 1;
          const bytes = Buffer.from(answers);
          for (let at = 0; at < bytes.length; at += pieceBytes) socket.write(bytes.subarray(at, at + pieceBytes));
        });
      },
      async (path) => {
        const api = new FirecrackerApi(path, new AbortController().signal);
        const calls = ["/a", "/b", "/c", "/d"].map((at) => api.call("PUT", at, {}));
        const outcomes = await Promise.allSettled(calls);
        assert.deepEqual(
          outcomes.map((one) => (one.status === "fulfilled" ? one.value : (one.reason as Error).message)),
          [undefined, "PUT /b: no", { n: "ü" }, undefined],
        );
        api.close();
      },
    );
    assert.deepEqual([reads, requests.length], [1, 4]);
  }
});

test("what has not been answered when the connection ends, is given up or says too much fails, and so does what follows", async () => {
  const ends: { answer: string; end: (socket: Socket, stop: () => void) => void; says: RegExp }[] = [
    { answer: "", end: (socket) => socket.end(), says: /^PUT \/b: the connection was closed$/ },
    { answer: "HTTP/1.1 2", end: (socket) => socket.end(), says: /^PUT \/b: its answer broke off$/ },
    { answer: "", end: (_, stop) => stop(), says: /^PUT \/b: stopped$/ },
    { answer: noContent + noContent, end: () => {}, says: /^PUT \/c: it answers what it has not been asked$/ },
  ];
  for (const { answer, end, says } of ends) {
    const stopped = new AbortController();
    let theirs: Socket | null = null;
    await withSocket(
      (socket) =>
        socket.once("data", () => {
          socket.write(noContent + answer);
          theirs = socket;
        }),
      async (path) => {
        const api = new FirecrackerApi(path, stopped.signal);
        const first = api.call("PUT", "/a", {});
        const second = api.call("PUT", "/b", {});
        second.catch(() => {}); // looked at in its turn
        await first;
        assert.ok(theirs !== null);
        end(theirs, () => stopped.abort(new Error("stopped")));
        await (says.source.includes("c:") ? second : assert.rejects(second, { message: says }));
        await assert.rejects(api.call("PUT", "/c", {}), says.source.includes("c:") ? { message: says } : Error);
        api.close();
      },
    );
  }
});

test("refusals are told in Firecracker's words, those of its transport too", async () => {
  const fault = "Boot source error: The kernel file cannot be opened: No such file or directory (os error 2)";
  const transport = '{ "error": "The request is too large.\nAll previous unanswered requests will be dropped." }';
  const answers = [withBody(400, JSON.stringify({ fault_message: fault })), withBody(400, transport)];
  await withSocket(answering(answers, []), async (path) => {
    const api = new FirecrackerApi(path, new AbortController().signal);
    await assert.rejects(api.call("PUT", "/boot-source", {}), { message: `PUT /boot-source: ${fault}`, status: 400 });
    await assert.rejects(api.call("PUT", "/boot-source", {}), (error: unknown) => {
      assert.ok(error instanceof FirecrackerError);
      assert.match(error.message, /The request is too large\./);
      return true;
    });
    api.close();
  });
});

test("an answer that breaks off, is no HTTP or is too long fails the call", async () => {
  const half = withBody(200, '{"state":"Running"}').slice(0, -5);
  const endless = `HTTP/1.1 200 \r\nConnection: keep-alive\r\n\r\n${"x".repeat(2_000_000)}`;
  for (const answer of [half, "nonsense\r\n\r\n", endless, "HTTP/1.1 2"])
    await withSocket(
      (socket) => answering([answer], [])(socket.once("data", () => setImmediate(() => socket.end()))),
      async (path) => {
        const api = new FirecrackerApi(path, new AbortController().signal);
        await assert.rejects(api.call("GET", "/"));
        api.close();
      },
    );
});

test("a stream to the agent begins after the OK, wherever the bytes are cut", async () => {
  await withSocket(
    (socket) =>
      socket.once("data", (line) => {
        assert.equal(line.toString(), "CONNECT 7300\n");
        socket.write("OK 10737");
        setImmediate(() => socket.write("41824\nhel"));
        setImmediate(() => socket.write("lo"));
      }),
    async (path) => {
      const stream = await openVsock(path, AbortSignal.timeout(10_000));
      let text = "";
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
      while (text !== "hello") await once(stream, "data");
      stream.destroy();
    },
  );
});

test("a guest that is not up yet, or nobody at its port, is asked again until somebody answers", async () => {
  await withSocket(
    (socket, connection) => {
      if (connection === 1) return; // hangs, as while the guest boots
      if (connection === 2) return void socket.once("data", () => socket.end()); // the guest refuses
      if (connection === 3) return void socket.once("data", () => socket.write("NO\n"));
      socket.once("data", () => socket.write("OK 1073741824\n"));
    },
    async (path) => {
      const stream = await openVsock(path, AbortSignal.timeout(30_000));
      stream.destroy();
    },
  );
  await assert.rejects(openVsock("/nonexistent/vsock", AbortSignal.timeout(10_000)), { code: "ENOENT" });
  await withSocket(
    () => {},
    async (path) => {
      await assert.rejects(openVsock(path, AbortSignal.timeout(50)), { name: "TimeoutError" });
    },
  );
});

test("versions that do not fit or are known to be broken are refused with the reason", () => {
  for (const version of ["1.14.0", "1.14.4", "1.15.1", "1.17.0", "1.20.3", "1.17.0-dev"])
    assert.equal(refuseVersion(version), null, version);
  for (const version of ["0.25.0", "1.9.1", "1.13.1", "2.0.0"])
    assert.match(refuseVersion(version) ?? "", /not supported/);
  for (const version of ["1.16.0", "1.16.1"]) assert.match(refuseVersion(version) ?? "", /6100/);
});

test("of what Firecracker logs, the last line that says something is kept, without its time", () => {
  const log = [
    "2026-08-21T10:00:00.123456789 [vm1:main:ERROR] RunWithApiError error: something is wrong",
    "Error: RunWithApi(Something)",
    "2026-08-21T10:00:00.123456789 [vm1:fc_vcpu 0:WARN] vcpu: IO read @ 0x71:0x1 failed: bus_error: MissingAddressRange",
    "2026-08-21T10:00:00.123456789 [vm1:fc_vcpu 0:WARN] Received a VcpuEvent::Resume message with immediate_exit enabled. immediate_exit was disabled before proceeding",
    "2026-08-21T10:00:00.123456789 [vm1:main:ERROR] Firecracker exiting with error. exit_code=1",
    '2026-08-21T10:00:00.123456789 [vm1:fc_api:INFO] The API server received a Get request on "/".',
    "",
  ].join("\n");
  assert.equal(manner.lastWords(log), "RunWithApiError error: something is wrong");
  assert.equal(manner.lastWords(""), "");
  assert.equal(manner.guestBootMs(log), null);
  const timed =
    "2026-08-21T10:00:00.123456789 [vm1:fc_vcpu 0:INFO] Guest-boot-time =  48210 us 48 ms,  31000 CPU us 31 CPU ms";
  assert.equal(manner.guestBootMs(`${log}${timed}\n`), 48.21);
  assert.match(manner.explainExit(148) ?? "", /seccomp/);
  assert.equal(manner.explainExit(1), null);
});

test("a VM's settings: durable drives in order with their limits, a console, and nothing appended by Firecracker", () => {
  const spec: VmSpec = {
    id: "vm_abcdefgh2345",
    name: "dev",
    cid: 7,
    vcpuCount: 2,
    memoryMiB: 256,
    kernel: { version: "6.1", vmlinux: "/k/vmlinux", initramfs: "/k/initramfs" },
    drives: [
      { id: "ws_a", path: "/d/root", readOnly: false, rateLimit: null },
      { id: "drv_b", path: "/d/data", readOnly: true, rateLimit: { bytesPerSecond: 1000, operationsPerSecond: null } },
    ],
    mounts: [{ device: "vdb", path: "/work", readOnly: true }],
    network: null,
    directory: "/run/x",
  };
  const settings = settingsOf(spec, hostPlaces(spec), "1.15.1");
  const bodyOf = (path: string): Record<string, unknown> => settings.find((one) => one.path === path)?.body ?? {};
  assert.deepEqual(
    settings.map(({ path }) => path),
    [
      "/metrics",
      "/machine-config",
      "/boot-source",
      "/drives/drive0",
      "/drives/drive1",
      "/vsock",
      "/entropy",
      "/balloon",
    ],
  );
  assert.deepEqual(bodyOf("/drives/drive1"), {
    drive_id: "drive1",
    path_on_host: "/d/data",
    is_root_device: false,
    is_read_only: true,
    cache_type: "Writeback",
    rate_limiter: { bandwidth: { size: 1000, refill_time: 1000 } },
  });
  assert.equal(bodyOf("/drives/drive0")["rate_limiter"], undefined);
  assert.match(
    String(bodyOf("/boot-source")["boot_args"]),
    /^console=ttyS0 .*reboot=k.* workfort\.boot-timer=c0000000 workfort\.hostname=dev workfort\.mount=vdb:\/work:ro$/,
  );
  assert.deepEqual(bodyOf("/vsock"), { guest_cid: 7, uds_path: "/run/x/vmm/vsock" });
  const jailed = settingsOf(spec, jailPlaces(spec), "1.17.0");
  assert.deepEqual(
    jailed.flatMap(({ body }) => [body["kernel_image_path"], body["path_on_host"], body["uds_path"]]).filter(Boolean),
    ["/vmlinux", "/drive0", "/drive1", "/vsock"],
  );
  assert.deepEqual(jailed.find(({ path }) => path === "/serial")?.body, {
    rate_limiter: { size: 1024 ** 2, refill_time: 1000 },
  });
});
