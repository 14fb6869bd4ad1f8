import * as z from "zod";
import { exactly, matching } from "./fields.ts";
import { CreateForward, Forward, ForwardId, Preview } from "./forward.ts";
import { Reference } from "./names.ts";
import { operation } from "./operation.ts";

const vm = exactly({ vm: Reference });

const portAllowed = "must be a port from 1 to 65535";
const PreviewPort = matching(/^[1-9]\d{0,4}$/, portAllowed).refine((text) => Number(text) <= 65_535, portAllowed);

/** Ways from the host into a VM. */
export const forwardOperations = {
  "forward.create": operation({
    method: "POST",
    path: "/v1/vms/{vm}/forwards",
    summary: "Listen on the host for connections into a VM",
    params: vm,
    body: CreateForward,
    result: Forward,
    status: 201,
    errors: ["not_found", "in_use", "too_many", "permission_denied"],
  }),
  "forward.list": operation({
    method: "GET",
    path: "/v1/forwards",
    summary: "List forwards",
    query: exactly({ vm: Reference.optional() }),
    result: z.object({ forwards: z.array(Forward) }),
    errors: ["not_found"],
  }),
  "forward.delete": operation({
    method: "DELETE",
    path: "/v1/forwards/{forward}",
    summary: "Stop listening, and end the connections",
    params: exactly({ forward: ForwardId }),
    status: 204,
    errors: ["not_found"],
  }),
  "vm.preview": operation({
    method: "POST",
    path: "/v1/vms/{vm}/previews/{port}",
    summary: "The address of a VM's port for a browser",
    params: exactly({ vm: Reference, port: PreviewPort }),
    result: Preview,
    errors: ["not_found", "wrong_state"],
  }),
} as const;
