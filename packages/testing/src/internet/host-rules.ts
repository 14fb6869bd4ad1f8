/** Rules of the tested machine that have nothing to do with us, and have to be the same afterwards. */
export type Firewall = "plain" | "docker";

/** as an administrator may have written: what is not asked for does not come in */
const plain = `table inet firewall {
  set trusted { type ipv4_addr; elements = { 192.0.2.77, 198.51.100.200 } }
  chain input {
    type filter hook input priority filter; policy accept;
    ip saddr @trusted accept
    tcp dport 25 drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
  }
}`;

/** as Docker makes it: what is forwarded is dropped unless Docker or DOCKER-USER lets it through */
const dockerFilter = (family: "ip" | "ip6"): string => `table ${family} filter {
  chain DOCKER-USER { return; }
  chain DOCKER { }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    jump DOCKER-USER
    oifname "docker0" jump DOCKER
    iifname "docker0" accept
  }
}`;
const docker = `${dockerFilter("ip")}
${dockerFilter("ip6")}
table ip nat {
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
  }
}`;

export const firewallRules: Record<Firewall, string> = { plain, docker: `${plain}\n${docker}` };
