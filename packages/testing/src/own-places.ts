/** a uid nobody has */
export const strangerUid = 64_322;

/**
 * Shell, for root in a mount namespace of its own: `/etc` and `/usr/local` can be written in, and the host has nothing
 * of it.
 */
export const ownPlaces = `set -e
mount -t tmpfs -o mode=755 own /mnt
for place in etc usr/local; do
  mkdir -p "/mnt/$place" "/mnt/work/$place"
  mount -t overlay -o "lowerdir=/$place,upperdir=/mnt/$place,workdir=/mnt/work/$place" own "/$place"
done
`;

/** Shell: becomes a user without any privilege, with a device for taps that all may open, as ordinary hosts have it. */
export const asStranger = `set -e
mount -t tmpfs -o mode=755 tun /dev/net
mknod -m 666 /dev/net/tun c 10 200
exec setpriv --reuid ${strangerUid} --regid ${strangerUid} --clear-groups -- "$@"
`;
