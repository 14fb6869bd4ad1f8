import { GuestStats, WorkfortError } from "@workfort/contract";
import { readGuestJson, toError } from "./guest-answer.ts";
import type { GuestLink } from "./ports.ts";

/** 256 processes, 32 file systems and 64 interfaces, with the longest names */
const answerBytes = 1024 * 1024;

/** What a guest uses, as its agent tells. */
export async function guestStats(link: GuestLink, vmName: string, signal?: AbortSignal): Promise<GuestStats> {
  const path = "/v1/stats";
  const answer = await link.request({ method: "GET", path, ...(signal === undefined ? {} : { signal }) });
  if (answer.status !== 200) throw await toError(answer);
  const parsed = GuestStats.safeParse(await readGuestJson(answer.body, answerBytes));
  if (parsed.success) return parsed.data;
  const place = parsed.error.issues[0]?.path.join(".").slice(0, 200) ?? "";
  throw new WorkfortError(
    "agent_failed",
    `the agent of VM "${vmName}" told something else than what it uses: ${place}`,
  );
}
