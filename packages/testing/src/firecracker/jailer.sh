#!/bin/sh
# A double of Firecracker's `jailer`, for a Firecracker that is a double, too: from its documentation, the file system,
# the copy of the program, its devices, and the user that is taken before the program is executed. So that a double in
# Node and QEMU can run there, the host's programs and this checkout are mounted into the jail; the real one has
# nothing but what it was given. Control groups, network namespaces, limits and --daemonize are not there.
# The first argument is the checkout; what the double of Firecracker is to do wrong lies beside its program.
set -eu
checkout=$1; shift
fail() { echo "$1" >&2; exit 1; }
[ "${1:-}" != --version ] || { echo "Jailer v1.15.1"; exit 0; }
base=/srv/jailer id='' program='' user='' group=''
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    --id) id=$2 ;;
    --exec-file) program=$(realpath "$2") ;;
    --uid) user=$2 ;;
    --gid) group=$2 ;;
    --chroot-base-dir) base=$2 ;;
    --cgroup-version) [ "$2" = 1 ] || fail "this double moves into no control group" ;;
    *) fail "Found argument '${1#--}' which wasn't expected, or isn't valid in this context." ;;
  esac
  shift 2
done
shift
case $id in '' | *[!A-Za-z0-9-]*) fail "Invalid instance ID: Invalid char" ;; esac
case $user$group in '' | *[!0-9]*) fail "Invalid uid or gid" ;; esac
[ -f "$program" ] || fail "$program is not a file"
name=$(basename "$program")
root=$base/$name/$id/root
mkdir -p "$root"
[ ! -e "$root/dev" ] || fail "Failed to create the jail's devices: File exists (os error 17)"
cp "$program" "$root/$name"
cp "$(dirname "$program")/fault" "$root/fault"
mkdir -p "$root/dev" "$root/run"
chown "$user:$group" "$root" "$root/$name" "$root/fault" "$root/dev" "$root/run"
chmod 700 "$root"
echo $$ > "$root/$name.pid"
for path in /dev /proc /usr /etc /bin /sbin /lib /lib64 /tmp "$checkout"; do
  [ -e "$path" ] || continue
  mkdir -p "$root$path"
  mount --rbind "$path" "$root$path"
done
mount -t tmpfs -o mode=755,size=4k tap "$root/dev/net"
mknod "$root/dev/net/tun" c 10 200
chown "$user:$group" "$root/dev/net/tun"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot --userspec="$user:$group" "$root" "/$name" --id "$id" --start-time-us 0 --start-time-cpu-us 0 "$@"
