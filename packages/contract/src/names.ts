import * as z from "zod";
import { matching, says } from "./fields.ts";

/**
 * Names and ids.
 *
 * A name is a DNS label, because it becomes the guest's host name. An id is a kind, an underscore and
 * twelve characters of base32; the underscore is what no DNS label can hold, so a name can never be
 * mistaken for an id and both can stand in the same place of a path.
 */

/** the kinds of things that have an id */
export const idKinds = ["vm", "img", "ws", "drv", "tok", "fwd"] as const;
export type IdKind = (typeof idKinds)[number];

const idPattern = /^(vm|img|ws|drv|tok|fwd)_[a-z2-7]{12}$/;
const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** DNS label (RFC 1123), 1 to 63 characters */
export const Name = matching(
  namePattern,
  "must be 1 to 63 characters of a-z, 0-9 and -, beginning and ending with a letter or digit",
).describe("DNS label, for example `hello`");

export const VmId = matching(/^vm_[a-z2-7]{12}$/, "must be vm_ and 12 characters of a-z and 2-7");
export const ImageId = matching(/^img_[a-z2-7]{12}$/, "must be img_ and 12 characters of a-z and 2-7");
export const WorkspaceId = matching(/^ws_[a-z2-7]{12}$/, "must be ws_ and 12 characters of a-z and 2-7");
export const DriveId = matching(/^drv_[a-z2-7]{12}$/, "must be drv_ and 12 characters of a-z and 2-7");

export const TokenId = matching(/^tok_[a-z2-7]{12}$/, "must be tok_ and 12 characters of a-z and 2-7");

const referenceAllowed = says("must be a name (DNS label) or an id such as vm_abcdefgh2345");

/** an id or a name, as a path or body may hold */
export const Reference = z
  .string(referenceAllowed)
  .refine((text) => idPattern.test(text) || namePattern.test(text), referenceAllowed)
  .describe("name or id");

export function isId(text: string): boolean {
  return idPattern.test(text);
}
