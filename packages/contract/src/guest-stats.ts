import * as z from "zod";

/** what a guest says that it uses of what it has; the guest's own word, bounded and checked for its shape only */

const count = (what: string) => z.int().nonnegative().describe(what);
const ms = (what: string) => count(`ms ${what}`);
const shortText = z.string().max(512);

export const GuestProcess = z.object({
  pid: z.int().positive(),
  parentPid: z.int().nonnegative(),
  user: shortText.describe("its name, or its number where it has none"),
  command: shortText.describe("the kernel's short name of it"),
  state: z.string().max(4).describe("as in ps: R runs, S sleeps, D waits for a device, Z has ended"),
  threads: count("threads"),
  cpuMs: ms("of processor time"),
  residentBytes: count("memory it has"),
  startedMs: ms("from the kernel's start to its own"),
});
export type GuestProcess = z.infer<typeof GuestProcess>;

const usage = z.object({
  sizeBytes: count("in all"),
  freeBytes: count("free"),
  availableBytes: count("free to users other than root"),
});

export const GuestStats = z.object({
  uptimeMs: z.number().nonnegative().describe("ms since the kernel's start"),
  processorCount: count("processors"),
  cpu: z
    .object({
      userMs: ms("in programs"),
      niceMs: ms("in programs that step back"),
      systemMs: ms("in the kernel"),
      idleMs: ms("idle"),
      waitMs: ms("idle, waiting for a disk"),
      interruptMs: ms("in interrupts"),
      stealMs: ms("that the host gave to others"),
    })
    .describe("of all processors together, since the kernel's start"),
  load: z.array(z.number().nonnegative()).length(3).describe("averages of 1, 5 and 15 minutes"),
  memory: z.object({
    totalBytes: count("in all"),
    freeBytes: count("that nothing uses"),
    availableBytes: count("that programs can have without swapping"),
    cachedBytes: count("that hold files"),
    swapTotalBytes: count("of swap"),
    swapFreeBytes: count("of swap that nothing uses"),
  }),
  fileSystems: z
    .array(
      z.object({
        device: shortText,
        path: z.string().max(8192),
        kind: shortText.describe("for example `ext4`"),
        usage: usage.nullable().describe("null where it has not answered in time"),
      }),
    )
    .max(32)
    .describe("those with storage behind them"),
  interfaces: z
    .array(
      z.object({
        name: shortText,
        receivedBytes: count("received"),
        receivedPackets: count("received"),
        receivedErrors: count("received wrong"),
        sentBytes: count("sent"),
        sentPackets: count("sent"),
        sentErrors: count("not sent"),
      }),
    )
    .max(64),
  processCount: count("processes"),
  threadCount: count("threads"),
  processes: z.array(GuestProcess).max(256).describe("those with the most processor time, then memory"),
});
export type GuestStats = z.infer<typeof GuestStats>;
