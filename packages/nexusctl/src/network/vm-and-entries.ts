import { text } from "../parse.ts";

/** a VM, then entries of its policy */
export const vmAndEntries = {
  kind: "array",
  minimum: 2,
  parameter: { placeholder: "VM ENTRY", brief: "name or id of a VM, then entries such as *.example.com", parse: text },
} as const;
