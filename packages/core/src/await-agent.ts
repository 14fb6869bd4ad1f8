import { WorkfortError } from "@workfort/contract";
import type { LiveVm } from "./live-vm.ts";

/** between a VM's end and everything of it being cleared away, ms */
const endToldMs = 2_000;

/** Resolves when the agent of a VM has answered; fails where the VM ends first, or the time is up. */
export async function awaitAgent(live: LiveVm, timeoutMs: number, endReason: () => string): Promise<void> {
  const { name } = live.vm;
  const hint = `nexusctl vm logs ${name}`;
  const timeout = AbortSignal.timeout(timeoutMs);
  const ended = live.ended.then(() => {
    throw new WorkfortError("vmm_failed", `VM "${name}" ended before its agent answered: ${endReason()}`, { hint });
  });
  try {
    await Promise.race([live.link?.ready(timeout), ended]);
  } catch (error) {
    if (!timeout.aborted) {
      // its line closes a moment before the end of the VM is told, and that tells why
      if (await live.endsWithin(endToldMs)) await ended;
      throw error;
    }
    const trouble = live.link?.trouble == null ? "" : `: ${live.link.trouble}`;
    throw new WorkfortError(
      "timeout",
      `VM "${name}" runs, but its agent has not answered within ${timeoutMs / 1000} s${trouble}`,
      { hint, cause: error },
    );
  }
}
