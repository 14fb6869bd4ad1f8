import { WorkfortError } from "@workfort/contract";

type Thing = "VM" | "image" | "workspace" | "drive" | "token" | "service" | "forward";
const listCommand: Record<Thing, string> = {
  VM: "nexusctl vm list",
  image: "nexusctl image list",
  workspace: "nexusctl workspace list",
  drive: "nexusctl drive list",
  token: "nexusctl token list",
  service: "nexusctl network service list",
  forward: "nexusctl forward list",
};

export function notFound(thing: Thing, reference: string): WorkfortError {
  return new WorkfortError("not_found", `there is no ${thing} "${reference}"`, { hint: listCommand[thing] });
}

export function nameTaken(thing: Thing, name: string): WorkfortError {
  return new WorkfortError(
    "name_taken",
    `there is already ${thing === "image" ? "an" : "a"} ${thing} named "${name}"`,
    { hint: listCommand[thing] },
  );
}
