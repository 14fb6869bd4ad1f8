import { UsageError } from "../failures.ts";

/** one side of a copy */
export type Place = { kind: "host"; path: string } | { kind: "guest"; vm: string; path: string } | { kind: "pipe" };

/** `dev:/path` is in a VM, `-` is stdin or stdout, all else is of this host; `./a:b` is, too. */
export function parsePlace(text: string): Place {
  if (text === "-") return { kind: "pipe" };
  const match = /^([a-z0-9][a-z0-9_-]*):(.*)$/s.exec(text);
  if (match === null) {
    if (text === "") throw new UsageError('a path is needed, not ""');
    return { kind: "host", path: text };
  }
  const [, vm = "", path = ""] = match;
  if (path.startsWith("/") || path === "~" || path.startsWith("~/")) return { kind: "guest", vm, path };
  return { kind: "guest", vm, path: path === "" ? "~" : `~/${path}` };
}

export function showPlace(place: Place): string {
  if (place.kind === "pipe") return "-";
  return place.kind === "host" ? place.path : `${place.vm}:${place.path}`;
}

/** The last part of a path; null where it has no name of its own, as `/`, `.` or `~`. */
export function nameOf(path: string): string | null {
  const name = path.replace(/\/+$/, "").split("/").at(-1) ?? "";
  return ["", ".", "..", "~"].includes(name) ? null : name;
}
