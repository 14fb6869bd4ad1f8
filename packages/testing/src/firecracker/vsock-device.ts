import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, promises as fs } from "node:fs";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { eventually } from "../eventually.ts";
import { vsockDeviceProgram } from "../environment.ts";
import { diesWithUs } from "./child.ts";
import type { GuestLine } from "./guest-line.ts";
import type { QmpLink } from "./qmp-link.ts";

/**
 * A real AF_VSOCK device for the guest: `vhost-device-vsock`, a published program that serves QEMU's vhost-user, in a
 * process of its own that dies with the double. It takes the same CONNECT as Firecracker, on a socket of its own, since
 * it hangs up while Firecracker waits, and waits while Firecracker hangs up. For a guest that calls it connects to
 * `<its socket>_<port>`; that these are Firecracker's own, its socket is bound under Firecracker's name and moved.
 *
 * Its two sockets lie beside Firecracker's own and stay behind as that does.
 */
const controlName = "vhu";
const guestName = "vhg";
const parkedName = "vhp";
/** of QEMU's object */
const path = "/machine/peripheral/vsock";
/** number of the system call (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h) */
const recvmsg = process.arch === "x64" ? 47 : 212;
/** `OK ` and a port, at most ten digits */
const answerBytes = 32;

export class VsockDevice implements GuestLine {
  readonly description = "a vhost-user device; the guest sees AF_VSOCK";
  readonly isReadyWithAgent = false;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
  }

  /** Resolves when QEMU can connect to it. */
  static async start(udsPath: string, cid: number): Promise<VsockDevice> {
    const directory = dirname(udsPath);
    const control = join(directory, controlName);
    const argv = ["--guest-cid", String(cid), "--socket", control, "--uds-path", udsPath];
    await fs.rename(udsPath, join(directory, parkedName));
    const [program, ...rest] = diesWithUs([vsockDeviceProgram, ...argv]);
    const child = spawn(program, rest, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, RUST_LOG: "error" },
    });
    let words = "";
    child.stderr?.on("data", (chunk: Buffer) => (words = (words + chunk.toString()).slice(-1000)));
    child.on("error", (error) => (words += error.message));
    const device = new VsockDevice(child, directory);
    // it binds this socket last and listens at once; QEMU takes longer to start
    const there = eventually(
      () => existsSync(control),
      (isThere) => isThere,
    );
    const gone = once(child, "close").then(() => {
      throw new Error(`vhost-device-vsock: ${words.trim()}`);
    });
    gone.catch(() => {});
    try {
      await Promise.race([there, gone]);
      await fs.rename(udsPath, join(directory, guestName));
    } finally {
      await fs.rename(join(directory, parkedName), udsPath);
    }
    return device;
  }

  get guestArguments(): string[] {
    return [
      "-global",
      "virtio-mmio.force-legacy=false",
      "-chardev",
      `socket,id=vsock,path=${join(this.#directory, controlName).replaceAll(",", ",,")}`,
      "-device",
      "vhost-user-vsock-device,id=vsock,chardev=vsock",
    ];
  }

  /**
   * Until the guest's driver has set up its rings, a connection would have the device wake for it without end; and until
   * the device has taken in what QEMU told it of them, which QEMU does not wait for, a connection ends its worker
   * (vhost-user-backend 0.20: a ring that is not ready is an error). Once QEMU has told it all, it is through when it
   * waits for more.
   */
  async isReady(monitor: QmpLink): Promise<boolean> {
    const status = await monitor.command("x-query-virtio-status", { path });
    if (!(status as { "vhost-started": boolean })["vhost-started"]) return false;
    return await this.#hasTakenInAll();
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }

  /** Whether one of its threads sleeps in recvmsg, which only the one that hears QEMU calls (proc_pid_syscall(5)). */
  async #hasTakenInAll(): Promise<boolean> {
    const tasks = `/proc/${this.#child.pid ?? 0}/task`;
    const threads = await fs.readdir(tasks);
    const calls = await Promise.all(
      threads.map((thread) => fs.readFile(join(tasks, thread, "syscall"), "utf8").catch(() => "")),
    );
    return calls.some((call) => call.startsWith(`${recvmsg} `));
  }

  /**
   * Whoever asks is never hung up on before there was an answer: the device would wake for that connection for ever.
   */
  async open(port: number): Promise<Socket | null> {
    const socket = connect(join(this.#directory, guestName));
    const { promise, resolve } = Promise.withResolvers<Socket | null>();
    let head: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\n");
      if (end < 0 && head.length < answerBytes) return;
      if (!head.toString("latin1", 0, end).startsWith("OK ")) return resolve(null);
      socket.pause().off("data", onData);
      if (head.length > end + 1) socket.unshift(head.subarray(end + 1));
      resolve(socket);
    };
    socket.on("data", onData).on("error", () => {});
    socket.once("close", () => resolve(null));
    socket.write(`CONNECT ${port}\n`);
    return await promise;
  }
}
