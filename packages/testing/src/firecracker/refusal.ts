/** A request that is refused: `{"fault_message":…}` and nothing has changed. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** A request that is refused before the VM is asked; Firecracker logs these as its own structures. */
export class Malformed extends Refusal {
  /** what the log says */
  readonly logged: string;

  constructor(message: string, logged = `Generic(BadRequest, ${JSON.stringify(message)})`) {
    super(message);
    this.logged = logged;
  }
}

/** A refusal after whose answer the process exits with code 1. */
export class Fatal extends Refusal {}

/** errors of the system in the words of Rust's standard library */
const words: Record<string, string> = {
  EPERM: "Operation not permitted (os error 1)",
  EBUSY: "Resource busy (os error 16)",
  ENOENT: "No such file or directory (os error 2)",
  EACCES: "Permission denied (os error 13)",
  ENOTDIR: "Not a directory (os error 20)",
  EISDIR: "Is a directory (os error 21)",
  EROFS: "Read-only file system (os error 30)",
  ENOSPC: "No space left on device (os error 28)",
  ENXIO: "No such device or address (os error 6)",
  EADDRINUSE: "Address in use (os error 98)",
};

export function systemWords(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return words[code] ?? message;
}
