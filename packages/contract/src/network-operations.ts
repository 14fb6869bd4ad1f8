import * as z from "zod";
import { exactly, flag, matching } from "./fields.ts";
import { Reference } from "./names.ts";
import {
  CreateHostService,
  EditNetworkPolicy,
  HostService,
  NetworkLeftover,
  NetworkPolicy,
  NetworkStatus,
  PolicyInForce,
  SetNetworkPolicy,
  VmNetwork,
  VmNetworkCounters,
} from "./network.ts";
import { operation } from "./operation.ts";

const vm = exactly({ vm: Reference });
const networkErrors = ["network_unavailable"] as const;

const Leftovers = z.object({ leftovers: z.array(NetworkLeftover) });

/** What has to do with the network of guests. */
export const networkOperations = {
  "network.status": operation({
    method: "GET",
    path: "/v1/network",
    summary: "How guests get their network, and whether it can be used",
    result: NetworkStatus,
    errors: [],
  }),
  "network.reconcile": operation({
    method: "POST",
    path: "/v1/network/reconcile",
    summary: "Compare the network's parts with what should be there, and remove what is left over",
    result: Leftovers,
    errors: networkErrors,
  }),
  "network.reset": operation({
    method: "POST",
    path: "/v1/network/reset",
    summary: "Take the whole network away, while no VM has an interface",
    result: Leftovers,
    errors: ["in_use", "network_unavailable"],
  }),
  "network.presets": operation({
    method: "GET",
    path: "/v1/network/presets",
    summary: "The presets of network policies, and what they stand for",
    result: z.object({ presets: z.record(z.string(), z.array(z.string())) }),
    errors: [],
  }),
  "network.policy.get": operation({
    method: "GET",
    path: "/v1/network/policy",
    summary: "The default network policy",
    result: NetworkPolicy,
    errors: [],
  }),
  "network.policy.set": operation({
    method: "PUT",
    path: "/v1/network/policy",
    summary: "Set the default network policy, for running VMs at once",
    body: SetNetworkPolicy,
    result: NetworkPolicy,
    errors: ["not_found", "network_unavailable"],
  }),
  "network.log": operation({
    method: "GET",
    path: "/v1/network/log",
    summary: "What was not let through, oldest first: one JSON object a line",
    query: exactly({
      vm: Reference.optional(),
      after: matching(/^\d{1,15}$/, "must be the number of a denial")
        .optional()
        .describe("only those behind this one"),
      follow: flag("go on with what comes"),
    }),
    answer: "bytes",
    mediaType: "application/x-ndjson",
    errors: ["not_found", "network_unavailable"],
  }),
  "vm.network.get": operation({
    method: "GET",
    path: "/v1/vms/{vm}/network",
    summary: "A VM's interface, policy and counters",
    params: vm,
    result: z.object({
      network: VmNetwork.nullable(),
      policy: PolicyInForce.nullable(),
      counters: VmNetworkCounters.nullable().describe("null while it has no interface, or they cannot be read"),
    }),
    errors: ["not_found"],
  }),
  "vm.policy.set": operation({
    method: "PUT",
    path: "/v1/vms/{vm}/network/policy",
    summary: "Set a VM's network policy, at once if it runs",
    params: vm,
    body: SetNetworkPolicy,
    result: PolicyInForce,
    errors: ["not_found", "wrong_state", "network_unavailable"],
  }),
  "vm.policy.edit": operation({
    method: "POST",
    path: "/v1/vms/{vm}/network/policy/entries",
    summary: "Add entries to a VM's network policy and take others out, at once if it runs",
    params: vm,
    body: EditNetworkPolicy,
    result: PolicyInForce,
    errors: ["not_found", "wrong_state", "too_many", "network_unavailable"],
  }),
  "vm.policy.clear": operation({
    method: "DELETE",
    path: "/v1/vms/{vm}/network/policy",
    summary: "Give a VM the default network policy again",
    params: vm,
    result: PolicyInForce,
    errors: ["not_found", "wrong_state", "network_unavailable"],
  }),
  "service.create": operation({
    method: "POST",
    path: "/v1/network/services",
    summary: "Offer something of the host to the VMs whose policy names it",
    body: CreateHostService,
    result: HostService,
    status: 201,
    errors: ["name_taken", "in_use", "network_unavailable"],
  }),
  "service.list": operation({
    method: "GET",
    path: "/v1/network/services",
    summary: "List host services",
    result: z.object({ services: z.array(HostService) }),
    errors: [],
  }),
  "service.delete": operation({
    method: "DELETE",
    path: "/v1/network/services/{service}",
    summary: "Take a host service away, out of every policy too; its connections end",
    params: exactly({ service: Reference }),
    status: 204,
    errors: ["not_found", "network_unavailable"],
  }),
} as const;
