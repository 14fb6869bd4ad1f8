import { text } from "../parse.ts";

/** a VM, or the default policy where none is named */
export const maybeOneVm = {
  kind: "tuple",
  parameters: [
    { placeholder: "VM", brief: "name or id of a VM; without one the default", parse: text, optional: true },
  ],
} as const;
