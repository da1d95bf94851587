#!/usr/bin/env bash
# The tests of the ring as ARM code, run by qemu: bash benchmarks/arm64.sh [arguments of pytest]
#
# On Debian, as root. It shows that the kernels compile, link and run on aarch64 and that two
# threads lose nothing there. It says nothing of the barriers: qemu carries out every load and store
# in the order of the machine below, and that of x86 is stricter than ARM's. That the barriers stand
# in the code is for test_arm_code_acquires_and_releases, which needs no ARM.
#
# Debian's Python for ARM is unpacked into build/arm64, not installed: qemu looks for its files
# there first, so it takes neither a chroot nor a handler in the kernel.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
arm=$root/build/arm64
mkdir -p "$arm"

if ! { command -v debootstrap && command -v qemu-aarch64-static && python3 -m pip -V; } >/dev/null; then
    apt-get update -q
    apt-get install -q -y --no-install-recommends debootstrap python3-pip qemu-user-static
fi

if [ ! -e "$arm/unpacked" ]; then
    rm -rf "$arm/debian"
    debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 bookworm "$arm/debian"
    for package in "$arm"/debian/var/cache/apt/archives/*.deb; do
        dpkg-deb --extract "$package" "$arm/debian"
    done
    touch "$arm/unpacked"
fi

if [ ! -e "$arm/installed" ]; then
    rm -rf "$arm/site"
    python3 -m pip install --quiet --target "$arm/site" --only-binary=:all: --python-version 3.11 \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
        hypothesis numba pytest
    touch "$arm/installed"
fi

# The rooms stand at the top level and are imported as kikiwake.*; Python is shown them in that form.
rm -rf "$arm/tree"
mkdir -p "$arm/tree/kikiwake"
ln -s "$root"/kikiwake/* "$root"/{engine,features,models,tools,vad} "$arm/tree/kikiwake/"

cd "$arm"
export PYTHONPATH=$arm/tree:$arm/site PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=$arm/numba
exec qemu-aarch64-static -L "$arm/debian" "$arm/debian/usr/bin/python3" -m pytest \
    -p no:cacheprovider "$root/tests/engine/test_ring.py" "$@"
