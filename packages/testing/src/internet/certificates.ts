import { join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";

const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];

/** Makes an authority (`ca.pem`) and, for each name, a key and a certificate by it, in a directory. */
export async function makeCertificates(directory: string, names: readonly string[]): Promise<void> {
  const file = (name: string, ending: string): string => join(directory, `${name}.${ending}`);
  const request = async (name: string, ...more: string[]): Promise<void> => {
    const files = ["-keyout", file(name, "key"), "-out", file(name, "pem")];
    await runTool(["openssl", "req", "-x509", ...key, "-subj", `/CN=${name}`, ...files, ...more]);
  };
  await request("ca");
  for (const name of names)
    await request(name, "-CA", file("ca", "pem"), "-CAkey", file("ca", "key"), "-addext", `subjectAltName=DNS:${name}`);
}
