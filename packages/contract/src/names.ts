import * as z from "zod";

/**
 * Names and ids.
 *
 * A name is a DNS label, because it becomes the guest's host name. An id is a kind, an underscore and
 * twelve characters of base32; the underscore is what no DNS label can hold, so a name can never be
 * mistaken for an id and both can stand in the same place of a path.
 */

/** the kinds of things that have an id */
export const idKinds = ["vm", "img", "ws"] as const;
export type IdKind = (typeof idKinds)[number];

const idPattern = /^(vm|img|ws)_[a-z2-7]{12}$/;
const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** DNS label (RFC 1123), 1 to 63 characters */
export const Name = z
  .string()
  .regex(namePattern, "1 to 63 characters of a-z, 0-9 and -, beginning and ending with a letter or digit")
  .describe("DNS label, for example `hello`");

export const VmId = z.string().regex(/^vm_[a-z2-7]{12}$/, "vm_ and 12 characters of a-z and 2-7");
export const ImageId = z.string().regex(/^img_[a-z2-7]{12}$/, "img_ and 12 characters of a-z and 2-7");
export const WorkspaceId = z.string().regex(/^ws_[a-z2-7]{12}$/, "ws_ and 12 characters of a-z and 2-7");

/** an id or a name, as a path or body may hold */
export const Reference = z
  .string()
  .refine(
    (text) => idPattern.test(text) || namePattern.test(text),
    "a name (DNS label) or an id such as vm_abcdefgh2345",
  )
  .describe("name or id");

export function isId(text: string): boolean {
  return idPattern.test(text);
}
