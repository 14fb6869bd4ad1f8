import { randomBytes } from "node:crypto";
import type { IdKind } from "@workfort/contract";

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"; // base32 of RFC 4648, lower case

/** A fresh id: the kind, an underscore and 60 random bits, for example `vm_k3jdq7xw2abc`. */
export function newId(kind: IdKind): string {
  let text = "";
  for (const byte of randomBytes(12)) text += alphabet.charAt(byte & 31);
  return `${kind}_${text}`;
}

/** An id for a process that nobody has named, for example `p-9f86d081884c7d65`. */
export function newProcessId(): string {
  return `p-${randomBytes(8).toString("hex")}`;
}

/** The random part of an id, for places where an underscore may not stand (socket directories, tap names). */
export function bareId(id: string): string {
  return id.slice(id.indexOf("_") + 1);
}
