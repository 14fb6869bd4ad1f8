import { once } from "node:events";
import { promises as fs } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import type { QmpLink } from "./qmp-link.ts";

/**
 * What a stopped guest consists of: its memory, which QEMU keeps in a memfd and does not put among the rest
 * (x-ignore-shared), and what QEMU tells of its devices over a socket.
 */
const socketName = "vms";
const blockBytes = 1024 * 1024;
const zeros = Buffer.alloc(blockBytes);

/** What QEMU needs to be told before either; then its arguments are `-incoming defer -S` where it is to load. */
async function leaveMemoryOut(monitor: QmpLink): Promise<void> {
  await monitor.command("migrate-set-capabilities", {
    capabilities: [{ capability: "x-ignore-shared", state: true }],
  });
}

/** The devices of a guest that stands still; the socket lies in `directory` for as long as it takes. */
export async function saveDevices(monitor: QmpLink, directory: string): Promise<Buffer> {
  const path = join(directory, socketName);
  await leaveMemoryOut(monitor);
  const server = createServer().listen(path);
  try {
    await once(server, "listening");
    const accepted = once(server, "connection") as Promise<[Socket]>;
    await monitor.command("migrate", { uri: `unix:${path}` });
    const [stream] = await accepted;
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    await migrated(monitor);
    return Buffer.concat(chunks);
  } finally {
    server.close();
  }
}

/** Puts devices into a QEMU that waits for them; its guest stands still. */
export async function loadDevices(monitor: QmpLink, directory: string, devices: Buffer): Promise<void> {
  const path = join(directory, socketName);
  await leaveMemoryOut(monitor);
  await monitor.command("migrate-incoming", { uri: `unix:${path}` });
  try {
    const stream = connect(path).on("error", () => {});
    stream.end(devices);
    await migrated(monitor);
  } finally {
    await fs.rm(path, { force: true });
  }
}

/** Writes the memory of a QEMU to a file; as if the disk were full after so many MiB. */
export async function saveMemory(qemu: number, path: string, mostMiB: number): Promise<void> {
  await using file = await fs.open(path, "w");
  await using memory = await fs.open(await memoryOf(qemu), "r");
  await copy(memory, file, mostMiB);
  await file.sync();
}

/** Fills the memory of a QEMU that has not run from a file. */
export async function loadMemory(qemu: number, path: string): Promise<void> {
  await using file = await fs.open(path, "r");
  await using memory = await fs.open(await memoryOf(qemu), "r+");
  await copy(file, memory, Infinity);
}

async function migrated(monitor: QmpLink): Promise<void> {
  const end = await eventually(
    async () => (await monitor.command("query-migrate")) as { status?: string; "error-desc"?: string },
    ({ status }) => status === "completed" || status === "failed",
  );
  if (end.status === "failed") throw new Error(end["error-desc"] ?? "QEMU does not say why");
}

/** The open file of its memory (proc_pid_fd(5)). */
async function memoryOf(qemu: number): Promise<string> {
  const directory = `/proc/${qemu}/fd`;
  for (const name of await fs.readdir(directory))
    if ((await fs.readlink(join(directory, name)).catch(() => "")).startsWith("/memfd:memory"))
      return join(directory, name);
  throw new Error(`QEMU ${qemu} has no memory of that kind`);
}

/** Into a file of zeros, which has the same length then. */
async function copy(from: fs.FileHandle, to: fs.FileHandle, mostBlocks: number): Promise<void> {
  const { size } = await from.stat();
  await to.truncate(size);
  const block = Buffer.alloc(blockBytes);
  for (let position = 0; position < size; position += blockBytes) {
    if (position / blockBytes >= mostBlocks)
      throw Object.assign(new Error("full"), { code: "ENOSPC", syscall: "write" });
    const { bytesRead } = await from.read(block, 0, blockBytes, position);
    if (!block.subarray(0, bytesRead).equals(zeros.subarray(0, bytesRead)))
      await to.write(block, 0, bytesRead, position);
  }
}
