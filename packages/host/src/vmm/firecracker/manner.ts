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

/** what says nothing of an end: its own farewell, and a guest's looking for devices that are not there */
const noise = /^(Firecracker exiting|Vmm is stopping|Error: |vcpu: (IO|MMIO) (read|write) )/;
/** a line of its log: time and thread, then what matters */
const logLine = /^\d{4}-\d\d-\d\dT\S+ \[[^\]]*\] /;

export const manner: Manner = {
  title: "Firecracker",
  explainExit: (exitCode) => meanings[exitCode] ?? null,
  lastWords: (errorOutput) =>
    errorOutput
      .split("\n")
      .map((line) => line.replace(logLine, "").trim())
      .filter((line) => line !== "" && !noise.test(line))
      .at(-1) ?? "",
};
