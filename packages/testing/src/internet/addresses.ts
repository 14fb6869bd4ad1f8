import { policyPresets } from "@workfort/contract";

/** Who stands where in the tests' internet. Public places have addresses of the documentation ranges. */
export interface Place {
  ipv4: string;
  ipv6: string;
}

/** the tested machine's own, on the wire to its provider */
export const machine: Place = { ipv4: "192.0.2.2", ipv6: "2001:db8:1::2" };
/** the provider's end of that wire */
export const router: Place = { ipv4: "192.0.2.1", ipv6: "2001:db8:1::1" };
/** the resolver that the machine is told to use */
export const resolver: Place = { ipv4: "192.0.2.53", ipv6: "2001:db8:1::53" };

/** what else the machine is: a LAN, Docker's bridge */
export const machineInside: readonly string[] = ["10.20.0.1", "172.17.0.1", "fd20::1"];

export const places = {
  /** web servers of many names */
  shared: { ipv4: "198.51.100.80", ipv6: "2001:db8:2::80" },
  /** a second such address, which other names have */
  elsewhere: { ipv4: "198.51.100.81", ipv6: "2001:db8:2::81" },
  /** package mirrors */
  mirrors: { ipv4: "198.51.100.90", ipv6: "2001:db8:2::90" },
  /** answers names to whoever asks, also over TLS and HTTPS */
  foreignResolver: { ipv4: "203.0.113.53", ipv6: "2001:db8:3::53" },
  /** what names with ports of their own lead to */
  database: { ipv4: "203.0.113.70", ipv6: "2001:db8:3::70" },
  datagrams: { ipv4: "203.0.113.71", ipv6: "2001:db8:3::71" },
  /** a network that policies of tests do not name */
  forbidden: { ipv4: "203.0.113.66", ipv6: "2001:db8:3::66" },
} as const satisfies Record<string, Place>;

/** resolvers that everybody knows by address; nothing leaves the machine, these live in the namespace */
export const knownResolvers: readonly string[] = ["8.8.8.8", "1.1.1.1", "9.9.9.9", "2606:4700:4700::1111"];

/** what would answer from within the closed ranges if anything got there */
export const closedPlaces: readonly string[] = [
  "10.9.9.9",
  "172.16.5.5",
  "192.168.77.7",
  "100.64.1.1",
  "169.254.169.254",
  "192.0.0.9",
  "198.18.5.5",
  "fd00:ec2::254",
  "fd99::9",
];

/** TCP ports on which each address of the internet answers */
export const echoPorts: readonly number[] = [22, 4000, 5432];
/** UDP ports on which each address of the internet answers */
export const datagramPorts: readonly number[] = [123, 443, 4000];

export const internetAddresses: readonly string[] = [
  ...Object.values(places).flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
  ...knownResolvers,
  ...closedPlaces,
];

/** names on addresses that they share, each with a certificate of its own */
export const sharedNames: readonly string[] = ["allowed.test", "www.allowed.test", "other.test", "forbidden.test"];
export const resolverNames: readonly string[] = ["dns.google", "cloudflare-dns.com", "resolver.test"];
/** the first name of each preset that there is a mirror for */
export const mirrorOf = { debian: policyPresets.debian[0], npm: policyPresets.npm[0], github: policyPresets.github[0] };
export const mirrorNames: readonly string[] = Object.values(mirrorOf);
