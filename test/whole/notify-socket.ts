import { promises as fs } from "node:fs";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int domain, int type, int protocol)");
const bind = libc.func("int bind(int fd, const void *address, uint32_t addressLength)");
const receive = libc.func("long recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)");
const close = libc.func("int close(int fd)");

const unix = 1; // AF_UNIX
const datagram = 2 | 0o2000000; // SOCK_DGRAM | SOCK_CLOEXEC
const atOnce = 0x40; // MSG_DONTWAIT

/** systemd's end of sd_notify(3): a datagram socket, which Node does not offer */
export class NotifySocket implements AsyncDisposable {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string) {
    this.path = path;
    this.#fd = socket(unix, datagram, 0) as number;
    const address = Buffer.concat([Buffer.from([unix, 0]), Buffer.from(`${path}\0`)]);
    if (bind(this.#fd, address, address.length) !== 0) throw new Error(`cannot bind ${path}`);
  }

  /** the oldest message that has not been taken, null where there is none */
  take(): string | null {
    const bytes = Buffer.alloc(4096);
    const length = receive(this.#fd, bytes, bytes.length, atOnce) as number;
    return length < 0 ? null : bytes.toString("utf8", 0, length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    close(this.#fd);
    await fs.rm(this.path);
  }
}
