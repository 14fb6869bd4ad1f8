import type { VmmEnd } from "./ports.ts";
import type { BootRecord, VmRecord } from "./records.ts";

/** What a state and a history say of a run that is over. */
interface Explanation {
  state: "stopped" | "crashed";
  reason: string;
}

/** What the end of a VMM means. A clean exit that nobody asked for is the guest's own doing, unless its kernel panicked. */
export function explainEnd(asked: string | null, end: VmmEnd, console: Buffer): Explanation {
  if (asked !== null) return { state: "stopped", reason: asked };
  const meaning = end.meaning === null ? "" : ` (${end.meaning})`;
  if (end.signal !== null)
    return { state: "crashed", reason: withLastWords(`the VMM was ended by ${end.signal}${meaning}`, end) };
  if (end.exitCode !== 0)
    return { state: "crashed", reason: withLastWords(`the VMM exited with code ${end.exitCode}${meaning}`, end) };
  const tail = console.subarray(-16_384).toString("latin1");
  const trouble = /(Kernel panic - not syncing[^\r\n]*|guest-agent: fatal:[^\r\n]*)/.exec(tail);
  if (trouble?.[1] !== undefined) return { state: "crashed", reason: trouble[1].slice(0, 300) };
  return { state: "stopped", reason: "the guest shut itself down" };
}

function withLastWords(what: string, end: VmmEnd): string {
  const words = end.lastWords.slice(0, 300);
  return words === "" ? what : `${what}: ${words}`;
}

/** What it means that nothing of a live VM was found by a daemon that came back. */
export function explainAbsence(vm: VmRecord, boot: BootRecord | null, hostBootId: string): Explanation {
  if (boot?.run != null && boot.run.hostBootId !== hostBootId)
    return { state: "crashed", reason: "the host restarted" };
  if (vm.state === "starting")
    return { state: "stopped", reason: "the daemon ended while it was starting; the start was undone" };
  if (vm.state === "stopping") return { state: "stopped", reason: "stopped on request" };
  return { state: "crashed", reason: "its VMM and keeper were gone when the daemon came back" };
}
