#!/imager/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The first process of the machine: makes its root and starts the agent in it. The kernel's command line says of what:
#   imager.share=DIRECTORY   directories of the host, each with the tag sN of its place, as in the host's own root
#   imager.base              the disk with the serial imager-base; of the host's /usr (tag s0) it uses kernel modules, and
#                            the Python that the agent runs with
b=/imager/busybox
root=/root
fail() {
    echo "imager: $1" >/dev/console
    $b poweroff -f
}
host_directory() {
    $b mkdir -p "$2"
    $b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 "$1" "$2" ||
        fail "a directory of the host cannot be mounted at $2"
}
find_base() {
    for disk in /sys/block/vd*; do
        [ "$($b cat "$disk/serial")" = imager-base ] || continue
        # The disk as a whole, or the first partition with a root.
        for part in "$disk" "$disk"/vd*; do
            $b mount -t ext4 "/dev/${part##*/}" $root || continue
            [ ! -d $root/usr ] || return 0
            $b umount $root
        done 2>/dev/null
    done
    fail "the base image has no ext4 file system with a root, neither as a whole nor in a partition"
}
$b mount -t proc proc /proc && $b mount -t sysfs sysfs /sys && $b mount -t devtmpfs devtmpfs /dev || fail "no /proc, /sys, /dev"
while read -r module; do
    $b insmod "/modules/$module" || fail "the kernel module $module cannot be loaded"
done </modules/list
words=$($b cat /proc/cmdline)
case " $words " in
    *" imager.base "*)
        find_base
        host_directory s0 /imager/host/usr
        $b mkdir -p $root/lib/modules
        $b mount -o bind /imager/host/usr/lib/modules $root/lib/modules || fail "the base image has no place for kernel modules"
        for name in dev proc sys run tmp imager; do $b mkdir -p "$root/$name"; done
        $b mount -t tmpfs -o mode=755 tmpfs $root/run
        $b mount -o rbind /imager $root/imager
        echo /imager/modprobe >/proc/sys/kernel/modprobe
        python=/imager/python
        ;;
    *)
        $b mount -t tmpfs -o size=64m,mode=755 tmpfs $root
        number=0
        for word in $words; do
            case $word in imager.share=*) ;; *) continue ;; esac
            host_directory "s$number" "$root${word#imager.share=}"
            number=$((number + 1))
        done
        # As on systems with one /usr.
        for name in bin sbin lib lib32 lib64 libx32; do
            [ ! -d "$root/usr/$name" ] || [ -e "$root/$name" ] || $b ln -s "usr/$name" "$root/$name"
        done
        for name in dev proc sys run tmp var/tmp var/lib root home mnt etc imager; do $b mkdir -p "$root/$name"; done
        $b chmod 1777 $root/tmp $root/var/tmp
        $b ln -s /run $root/var/run
        for name in etc imager; do $b mount -o bind /$name "$root/$name"; done
        python=/usr/bin/python3
        ;;
esac
for name in proc sys dev; do $b mount -o move /$name "$root/$name"; done
cd $root && $b mount -o move . / && exec $b chroot . $python -I -S -c \
    "import sys; sys.path.insert(0, '/imager/lib'); from imgcore.executor.vm.agent import main; main()"
fail "the agent cannot be started"
