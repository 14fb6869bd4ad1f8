import type { Manner } from "../kept-run.ts";

/** Firecracker's exit codes that say more than their number (its `FcExitCode`); 0 and 1 do not. */
const meanings: Record<number, string> = {
  2: "an error it did not expect",
  148: "a system call that its seccomp filter forbids",
  149: "SIGBUS: memory behind a file that has gone, or a full disk",
  150: "SIGSEGV",
  151: "a file grew beyond its limit",
  152: "a configuration it cannot use",
  153: "command line arguments it does not know",
  154: "its limit of processor time",
  156: "SIGHUP",
  157: "SIGILL",
};

/**
 * What says nothing of an end: its own farewell, a guest's looking for devices that are not there, and what 1.15.1
 * warns of at some starts, as it did in the lab.
 */
const noise =
  /^(Firecracker exiting|Vmm is stopping|Error: |vcpu: (IO|MMIO) (read|write) |Received a VcpuEvent::Resume message with immediate_exit enabled)/;
/** a line of its log: time, thread and level, then what matters */
const logLine = /^\d{4}-\d\d-\d\dT\S+ \[[^\]]*\] /;
/** lines of its log that are no trouble, its boot timer's among them */
const information = /^\d{4}-\d\d-\d\dT\S+ \[[^\]]*:INFO\] /;
/** in microseconds; the guest may have it said again, but its first time is ahead */
const bootTimer = /:INFO\] Guest-boot-time = *(\d{1,12}) us /;

export const manner: Manner = {
  title: "Firecracker",
  explainExit: (exitCode) => meanings[exitCode] ?? null,
  lastWords: (errorOutput) =>
    errorOutput
      .split("\n")
      .filter((line) => !information.test(line))
      .map((line) => line.replace(logLine, "").trim())
      .filter((line) => line !== "" && !noise.test(line))
      .at(-1) ?? "",
  guestBootMs: (errorOutput) => {
    const us = bootTimer.exec(errorOutput)?.[1];
    return us === undefined ? null : Number(us) / 1000;
  },
};
