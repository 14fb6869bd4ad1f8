import { WorkfortError } from "@workfort/contract";
import { failpoint } from "./failpoint.ts";
import type { LiveVm } from "./live-vm.ts";
import type { Logger } from "./ports.ts";

/** bounds of the ladder after the guest's own grace, ms */
const terminateGraceMs = 5_000;
export const killGraceMs = 10_000;

/** How a VM is ended: asked through its agent or by Ctrl-Alt-Del, then by TERM, then by KILL. */
export class EndLadder {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Resolves when it has ended; `graceMs` is what the guest gets to do so by itself. */
  async climb(live: LiveVm, graceMs: number): Promise<void> {
    const asked = "stopped on request";
    live.endReason ??= asked;
    const deadline = performance.now() + graceMs;
    if (graceMs > 0) await this.#askGuest(live, graceMs);
    if (await live.endsWithin(Math.max(0, deadline - performance.now()))) return;
    this.#log.warn({ vm: live.vm.name, graceMs }, "the guest did not shut down in time; ending its VMM");
    if (live.endReason === asked) live.endReason = `${asked} (the guest did not shut down within ${graceMs / 1000} s)`;
    failpoint("vm.stop.asked");
    await live.run?.signal("SIGTERM").catch(() => {});
    if (await live.endsWithin(terminateGraceMs)) return;
    await this.kill(live);
  }

  /** The last rung alone. */
  async kill(live: LiveVm): Promise<void> {
    await live.run?.signal("SIGKILL").catch(() => {}); // it may have ended by itself just now
    if (await live.endsWithin(killGraceMs)) return;
    throw new WorkfortError(
      "timeout",
      `the VMM of VM "${live.vm.name}" has not ended ${killGraceMs / 1000} s after it was killed`,
      { hint: "look at the host: the process may hang in a system call (nexusctl vm get shows its pid)" },
    );
  }

  /** Half of the grace is for the agent to answer; where it does not, its keyboard is tried. */
  async #askGuest(live: LiveVm, graceMs: number): Promise<void> {
    const halfMs = Math.floor(graceMs / 2);
    if (await this.#askAgent(live, halfMs)) return;
    await live.run
      ?.pressCtrlAltDel(AbortSignal.timeout(halfMs))
      .catch((error: unknown) => this.#log.warn({ vm: live.vm.name, err: error }, "Ctrl-Alt-Del could not be pressed"));
  }

  /** Whether it has answered. */
  async #askAgent(live: LiveVm, boundMs: number): Promise<boolean> {
    if (live.link?.state !== "ready") return false;
    const body = { action: "poweroff", graceMs: Math.min(60_000, boundMs) };
    try {
      const answer = await live.link.request({ method: "POST", path: "/v1/power", body, timeoutMs: boundMs });
      answer.body.destroy();
      return true;
    } catch (error) {
      this.#log.warn({ vm: live.vm.name, err: error }, "the agent could not be asked to shut down");
      return false;
    }
  }
}
