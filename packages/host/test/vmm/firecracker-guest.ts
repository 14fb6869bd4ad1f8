import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { join } from "node:path";
import { eventually, nativePrograms, testEnvironment } from "@workfort/testing";
import { ensureInitramfs } from "../../src/assets/initramfs.ts";
import { noContent, type Connection, type RunningProgram } from "./firecracker-program.ts";

/** A guest of Firecracker or its double: configured by requests, spoken to through its vsock socket. */
const bootArguments = "console=ttyS0 quiet panic=-1 reboot=k 8250.nr_uarts=1 i8042.noaux i8042.nomux i8042.dumbkbd";

export async function bootSource(more = ""): Promise<Record<string, string>> {
  const { kernelDirectory } = testEnvironment();
  return {
    kernel_image_path: join(kernelDirectory, "vmlinux"),
    initrd_path: await ensureInitramfs(kernelDirectory, join(nativePrograms, "guest-agent")),
    boot_args: `${bootArguments} ${more}`.trim(),
  };
}

/** Puts it all together; the VM is started, but its guest may not be up yet. */
export async function boot(running: RunningProgram, more = ""): Promise<void> {
  const disk = running.path("root.ext4");
  await fs.copyFile(testEnvironment().rootfsImage, disk, fs.constants.COPYFILE_FICLONE);
  const drive = { drive_id: "root", path_on_host: disk, is_root_device: false, cache_type: "Writeback" };
  const requests: [string, unknown][] = [
    ["/metrics", { metrics_path: "metrics" }],
    ["/machine-config", { vcpu_count: 2, mem_size_mib: 192 }],
    ["/boot-source", await bootSource(`workfort.hostname=double ${more}`)],
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
export function agentOver({ socket, received }: Connection): ClientHttp2Session {
  socket.pause().removeAllListeners("data");
  socket.unshift(Buffer.from(received.slice(received.indexOf("\n") + 1), "latin1"));
  return connectHttp2("http://agent", { createConnection: () => socket }).on("error", () => {});
}

export async function askAgent(agent: ClientHttp2Session, request: string): Promise<string> {
  const [method = "", path = "", ...body] = request.split(" ");
  const stream = agent.request({ ":method": method, ":path": path, "content-type": "application/json" });
  if (body.length > 0) stream.end(body.join(" "));
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return text;
}

/** What a program of the guest prints, among what the agent tells of it. */
export async function outputOf(agent: ClientHttp2Session, argv: readonly string[]): Promise<string> {
  return await askAgent(agent, `POST /v1/processes ${JSON.stringify({ argv, attach: true })}`);
}

/** Which boot a guest is of: it changes with each, and not by a snapshot. */
export async function bootIdOf(agent: ClientHttp2Session): Promise<string> {
  const output = await outputOf(agent, ["cat", "/proc/sys/kernel/random/boot_id"]);
  const [id] = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(output) ?? [];
  assert.ok(id !== undefined, output);
  return id;
}

export async function faultOf(running: RunningProgram, request: string): Promise<string> {
  return /"fault_message":"(.*)"}$/.exec(await running.ask(request))?.[1] ?? "";
}

/** A connection that is answered; the one before may not be gone yet. */
export async function connected(running: RunningProgram): Promise<Connection> {
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
