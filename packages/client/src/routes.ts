import type { OperationName, Operations } from "@workfort/contract";

/**
 * Method and path of every operation, without the schemas, whose loading takes longer than a whole `nexusctl status`.
 * The type holds each row equal to the contract's: a difference does not compile.
 */
export const routes: { readonly [Name in OperationName]: Route<Name> } = {
  "system.health": ["GET", "/v1/health"],
  "system.status": ["GET", "/v1/status"],
  "system.metrics": ["GET", "/v1/metrics"],
  "system.openapi": ["GET", "/v1/openapi.json"],
  "vm.create": ["POST", "/v1/vms"],
  "vm.list": ["GET", "/v1/vms"],
  "vm.get": ["GET", "/v1/vms/{vm}"],
  "vm.delete": ["DELETE", "/v1/vms/{vm}"],
  "vm.start": ["POST", "/v1/vms/{vm}/start"],
  "vm.stop": ["POST", "/v1/vms/{vm}/stop"],
  "vm.kill": ["POST", "/v1/vms/{vm}/kill"],
  "vm.pause": ["POST", "/v1/vms/{vm}/pause"],
  "vm.resume": ["POST", "/v1/vms/{vm}/resume"],
  "vm.history": ["GET", "/v1/vms/{vm}/history"],
  "vm.metrics": ["GET", "/v1/vms/{vm}/metrics"],
  "vm.console": ["GET", "/v1/vms/{vm}/console"],
  "vm.exec": ["POST", "/v1/vms/{vm}/exec"],
  "process.start": ["POST", "/v1/vms/{vm}/processes"],
  "process.list": ["GET", "/v1/vms/{vm}/processes"],
  "process.get": ["GET", "/v1/vms/{vm}/processes/{process}"],
  "process.wait": ["GET", "/v1/vms/{vm}/processes/{process}/wait"],
  "process.output": ["GET", "/v1/vms/{vm}/processes/{process}/output"],
  "process.stdin": ["POST", "/v1/vms/{vm}/processes/{process}/stdin"],
  "process.signal": ["POST", "/v1/vms/{vm}/processes/{process}/signal"],
  "process.delete": ["DELETE", "/v1/vms/{vm}/processes/{process}"],
  "image.import": ["POST", "/v1/images"],
  "image.list": ["GET", "/v1/images"],
  "image.get": ["GET", "/v1/images/{image}"],
  "image.delete": ["DELETE", "/v1/images/{image}"],
  "workspace.create": ["POST", "/v1/workspaces"],
  "workspace.list": ["GET", "/v1/workspaces"],
  "workspace.get": ["GET", "/v1/workspaces/{workspace}"],
  "workspace.delete": ["DELETE", "/v1/workspaces/{workspace}"],
  "drive.create": ["POST", "/v1/drives"],
  "drive.list": ["GET", "/v1/drives"],
  "drive.get": ["GET", "/v1/drives/{drive}"],
  "drive.delete": ["DELETE", "/v1/drives/{drive}"],
  "drive.attach": ["POST", "/v1/drives/{drive}/attach"],
  "drive.detach": ["POST", "/v1/drives/{drive}/detach"],
  "drive.resize": ["POST", "/v1/drives/{drive}/resize"],
  "token.create": ["POST", "/v1/tokens"],
  "token.list": ["GET", "/v1/tokens"],
  "token.revoke": ["DELETE", "/v1/tokens/{token}"],
  "storage.status": ["GET", "/v1/storage"],
};

type Route<Name extends OperationName> = readonly [Operations[Name]["method"], Operations[Name]["path"]];
