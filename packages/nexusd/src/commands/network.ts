import { WorkfortError } from "@workfort/contract";
import { helperPlaces, installHelper, removeHelper } from "@workfort/host/network/helper-setup.ts";
import { programs } from "../programs.ts";

/** `nexusd network setup`: lets the user that sudo came from have veth links, by a helper that root installs. */
export async function networkSetup(options: { json: boolean; remove: boolean }): Promise<number> {
  try {
    const uid = askingUser();
    const done = options.remove ? await removeHelper(uid) : await installHelper(programs.networkHelper, uid);
    const words = {
      all: `${helperPlaces.program} is removed`,
      user: `user ${uid} may no longer use ${helperPlaces.program}`,
      nothing: `user ${uid} had no leave to use ${helperPlaces.program}`,
    };
    const text =
      done === undefined
        ? `user ${uid} may use ${helperPlaces.program}; networks made from now on go through it (network.mode: auto)`
        : words[done];
    process.stdout.write(
      options.json ? `${JSON.stringify({ uid, helper: helperPlaces.program, done: text })}\n` : `${text}\n`,
    );
    return 0;
  } catch (error) {
    const known =
      error instanceof WorkfortError
        ? error
        : new WorkfortError("network_unavailable", error instanceof Error ? error.message : String(error), {
            cause: error,
          });
    if (options.json) process.stderr.write(`${JSON.stringify({ error: known.toProblem() })}\n`);
    else process.stderr.write(`error: ${known.message}\n${known.hint === undefined ? "" : `  try: ${known.hint}\n`}`);
    return 1;
  }
}

/** It is for a user; root needs none. */
function askingUser(): number {
  if (process.getuid?.() !== 0)
    throw new WorkfortError("network_unavailable", "installing a program of root's needs root", {
      hint: "sudo nexusctl network setup",
    });
  const uid = Number(process.env["SUDO_UID"] ?? 0);
  if (!Number.isSafeInteger(uid) || uid <= 0)
    throw new WorkfortError("network_unavailable", "it is for a user's daemon; a daemon of root needs no helper", {
      hint: "as that user: sudo nexusctl network setup",
    });
  return uid;
}
