# shellcheck shell=bash
# lib.sh - what the scripts share: finding what is missing, installing it, building. To be sourced.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What it takes to build and test. An entry is KIND:NAME=PACKAGE, where PACKAGE is the package of Debian and Ubuntu.
#   tool:a|b   one of these commands      module:m   a module that pkg-config knows
#   file:f     this file                  deb:p      this package, on Debian and Ubuntu only
# shellcheck disable=SC2034  # used by those who source this
build_needs=(
    "tool:cc=gcc"
    "tool:cmake=cmake"
    "tool:ninja|make=ninja-build"
    "tool:pkg-config=pkg-config"
    "module:openblas=libopenblas-dev"
    "module:sleef=libsleef-dev"
    "module:zlib=zlib1g-dev"
    "module:cmocka=libcmocka-dev"
)

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Prints the comment at the top of the running script, without the line that names the interpreter.
print_help() { sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p;};}' "$0"; }

# is_present KIND:NAME
is_present() {
    local name=${1#*:} tool
    case $1 in
        tool:*)
            for tool in ${name//|/ }; do
                command -v "$tool" >/dev/null 2>&1 && return 0
            done
            return 1
            ;;
        module:*) pkg-config --exists "$name" 2>/dev/null ;;
        file:*) [[ -e $name ]] ;;
        deb:*) ! command -v dpkg >/dev/null 2>&1 || dpkg -s "$name" >/dev/null 2>&1 ;;
    esac
}

# missing_packages ENTRY... prints the packages of the entries that are not present.
missing_packages() {
    local entry
    for entry; do
        is_present "${entry%%=*}" || echo "${entry#*=}"
    done
}

# quietly COMMAND... shows what a command prints only if it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [[ $status -eq 0 ]] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

# need ENTRY... installs what is missing; without a word when nothing is. Stops where it cannot.
need() {
    local missing packages as_root=()
    missing=$(missing_packages "$@")
    [[ -n $missing ]] || return 0
    read -ra packages <<<"${missing//$'\n'/ }"

    if ! command -v apt-get >/dev/null 2>&1; then
        die "please install what Debian calls: ${packages[*]}"
    fi
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null 2>&1 || die "neither root nor sudo; please install: ${packages[*]}"
        as_root=(sudo)
    fi
    echo "installing ${packages[*]}"
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q -y)
    quietly "${as_root[@]}" update || echo "the package lists could not be updated; trying with those that are here" >&2
    quietly "${as_root[@]}" install --no-install-recommends "${packages[@]}" || die "could not install: ${packages[*]}"

    hash -r
    missing=$(missing_packages "$@")
    [[ -z $missing ]] || die "still missing after the installation: ${missing//$'\n'/ }"
}

# The number of things to do at once.
n_jobs() { nproc 2>/dev/null || echo 2; }

# build PRESET FOLDER [ARGUMENT...] configures a preset in a folder and builds it. A folder keeps the generator it has.
build() {
    local preset=$1 folder=$2
    shift 2
    if [[ ! -e $folder/CMakeCache.txt ]] && command -v ninja >/dev/null 2>&1; then
        set -- -G Ninja "$@"
    fi
    echo "building $folder"
    quietly cmake -S "$root" --preset "$preset" -B "$folder" "$@" &&
        quietly cmake --build "$folder" --parallel "$(n_jobs)"
}

# Prints the folder that has the files of MNIST, or fails.
find_mnist() {
    local folder
    for folder in "${TARN_MNIST_DIR:-}" "$root/data/mnist" "$root/../shared/data/mnist"; do
        if [[ -n $folder ]] && compgen -G "$folder/train-images?idx3-ubyte*" >/dev/null; then
            realpath "$folder"
            return
        fi
    done
    return 1
}
