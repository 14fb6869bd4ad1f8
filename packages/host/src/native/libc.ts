import { readSync } from "node:fs";
import koffi from "koffi";

/**
 * The only foreign function interface: the few calls of libc that Node does not offer.
 *
 * Loaded lazily, so that a program that never touches a disk does not pay for it.
 */
type Libc = ReturnType<typeof load>;
let loaded: Libc | null = null;

function load() {
  const library = koffi.load("libc.so.6");
  return {
    ioctl: library.func("int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)"),
    flock: library.func("int flock(int fd, int operation)"),
    mkfifo: library.func("int mkfifo(const char *path, uint32_t mode)"),
    socket: library.func("int socket(int domain, int type, int protocol)"),
    sendto: library.func(
      "long sendto(int fd, const void *bytes, size_t length, int flags, const void *address, uint32_t addressLength)",
    ),
    close: library.func("int close(int fd)"),
  };
}

function libc(): Libc {
  return (loaded ??= load());
}

/** a failed system call, shaped like Node's own errors */
class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** symbolic, for example `ENOSPC` */
  readonly code: string;

  constructor(call: string, errno: number, about: string) {
    const code = errnoName(errno);
    super(`${code}: ${call} ${about}`);
    this.code = code;
  }
}

/** Runs an ioctl on another thread; `argument` is read and written in place. */
export function ioctl(fd: number, request: number, argument: Buffer, about: string): Promise<void> {
  return new Promise((resolve, reject) => {
    libc().ioctl.async(fd, request, argument, (error: unknown, result: number) => {
      if (error instanceof Error) reject(error);
      else if (result < 0) reject(new SystemCallError("ioctl", koffi.errno(), about));
      else resolve();
    });
  });
}

/** Takes an exclusive lock that ends with the descriptor or the process; false if another has it. */
export function tryLock(fd: number): boolean {
  const lockExclusive = 2; // LOCK_EX, sys/file.h
  const lockNonBlocking = 4; // LOCK_NB
  if (libc().flock(fd, lockExclusive | lockNonBlocking) === 0) return true;
  const errno = koffi.errno();
  if (errnoName(errno) === "EAGAIN") return false;
  throw new SystemCallError("flock", errno, `descriptor ${fd}`);
}

/** Makes a FIFO that only its owner may open. */
export function makeFifo(path: string): void {
  if (libc().mkfifo(path, 0o600) !== 0) throw new SystemCallError("mkfifo", koffi.errno(), path);
}

/** Sends one datagram to a Unix socket; a path beginning with @ is an abstract address. */
export function sendDatagram(path: string, text: string): void {
  const { socket, sendto, close } = libc();
  const unix = 1; // AF_UNIX
  const datagram = 2 | 0o2000000; // SOCK_DGRAM | SOCK_CLOEXEC
  const fd = socket(unix, datagram, 0) as number;
  if (fd < 0) throw new SystemCallError("socket", koffi.errno(), "AF_UNIX");
  try {
    const name = Buffer.from(path.startsWith("@") ? `\0${path.slice(1)}` : path);
    const address = Buffer.alloc(2 + name.length);
    address.writeUInt16LE(unix, 0);
    name.copy(address, 2);
    const bytes = Buffer.from(text);
    if ((sendto(fd, bytes, bytes.length, 0, address, address.length) as number) < 0)
      throw new SystemCallError("sendto", koffi.errno(), path);
  } finally {
    close(fd);
  }
}

/** Opens a netlink socket of this network namespace. What comes is read from the descriptor, as of a file. */
export function openNetlink(protocol: number): number {
  const netlink = 16; // AF_NETLINK
  const raw = 3 | 0o2000000; // SOCK_RAW | SOCK_CLOEXEC
  const fd = libc().socket(netlink, raw, protocol) as number;
  if (fd < 0) throw new SystemCallError("socket", koffi.errno(), "AF_NETLINK");
  return fd;
}

/** Sends a message to the kernel. */
export function sendNetlink(fd: number, message: Buffer): void {
  if ((libc().sendto(fd, message, message.length, 0, null, 0) as number) < 0)
    throw new SystemCallError("sendto", koffi.errno(), "AF_NETLINK");
}

/** Sends a request to the kernel that asks for an acknowledgement, which is there at once; throws what it refuses. */
export function askNetlink(fd: number, request: Buffer, about: string): void {
  sendNetlink(fd, request);
  const answer = Buffer.alloc(4096);
  readSync(fd, answer);
  const error = answer.readUInt16LE(4) === 2 ? answer.readInt32LE(16) : 0; // NLMSG_ERROR; 0 acknowledges
  if (error !== 0) throw new SystemCallError("netlink", -error, about);
}

function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(koffi.os.errno)) if (value === errno) return name;
  return `errno ${errno}`;
}
