import { UsageError } from "../failures.ts";
import { text } from "../parse.ts";
import { parsePlace } from "./place.ts";

/** what the commands of `vm file` share */

export interface UserFlags {
  readonly user?: string;
  readonly json?: boolean;
}

export const userFlag = {
  kind: "parsed",
  parse: text,
  optional: true,
  placeholder: "USER",
  brief: "of the guest, by whom it is done (default root)",
} as const;

export const guestPlace = {
  placeholder: "NAME:PATH",
  brief: "name or id of a VM, and a path in it; without a leading / it is below the user's home",
  parse: text,
} as const;

/** Where in which VM, and as whom: the parameters and the query of an operation on files. */
export function askAt(
  word: string,
  { user }: Pick<UserFlags, "user">,
): { params: { vm: string }; query: { path: string; user?: string } } {
  const place = parsePlace(word);
  if (place.kind !== "guest")
    throw new UsageError(`"${word}" is no place in a VM`, { hint: `write NAME:PATH, for example dev:/etc` });
  return { params: { vm: place.vm }, query: { path: place.path, ...(user === undefined ? {} : { user }) } };
}
