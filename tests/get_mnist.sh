#!/usr/bin/env bash
# Tests scripts/get-mnist against a server of our own on this machine. It needs the real files, of which the sums are
# known, and is skipped (77) without them.
#
# Usage: tests/get_mnist.sh
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

names=(train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte)

skip() {
    echo "skipped: $*"
    exit 77
}

has_digits() {
    local name
    for name in "${names[@]}"; do
        [[ -f $1/$name.gz ]] || return 1
    done
}

digits=$(find_mnist) && has_digits "$digits" || skip "no compressed MNIST files to serve"
command -v python3 >/dev/null 2>&1 || skip "no python3 to serve them"
command -v curl >/dev/null 2>&1 || command -v wget >/dev/null 2>&1 || skip "neither curl nor wget"

work=$(mktemp -d)
server=
end() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM

# ---- the server: good/ has the files, cut/ has one that ends early, other/ has one of other content

mkdir -p "$work"/www/{good,cut,other}
for name in "${names[@]}"; do
    cp "$digits/$name.gz" "$work/www/good/"
done
head -c 1000 "$digits/train-images-idx3-ubyte.gz" >"$work/www/cut/train-images-idx3-ubyte.gz"
echo "no digits" | gzip >"$work/www/other/train-images-idx3-ubyte.gz"

: >"$work/server" # it may be read before the server's shell has made it
(cd "$work/www" && exec python3 -u -m http.server 0 --bind 127.0.0.1) >"$work/server" 2>"$work/requests" &
server=$!
port=
for _ in {1..100}; do
    port=$(sed -n 's/.* port \([0-9]*\).*/\1/p' "$work/server")
    [[ -z $port ]] || break
    kill -0 "$server" 2>/dev/null || skip "the server does not start"
    sleep 0.1
done
[[ -n $port ]] || skip "the server does not start"
base=http://127.0.0.1:$port
# What is served here is not to be asked of a proxy.
export no_proxy=127.0.0.1

# ---- the checks

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out"
    exit 1
}

# get STATUS URLS FOLDER runs the script and expects an exit status.
get() {
    local status=0
    TARN_MNIST_URL=$2 "$root/scripts/get-mnist" "$3" >"$work/out" 2>&1 || status=$?
    [[ $status -eq $1 ]] || fail "exit status $status instead of $1 for $2"
}

says() { grep -q -- "$1" "$work/out" || fail "does not say: $1"; }

# holds COUNT FOLDER expects so many files, hidden ones included.
holds() {
    [[ $(find "$2" -type f 2>/dev/null | wc -l) -eq $1 ]] || fail "$2 holds: $(ls -A "$2")"
}

# What comes is the published files, and nothing else is left.
get 0 "$base/good" "$work/new"
holds 4 "$work/new"
for name in "${names[@]}"; do
    cmp -s "$work/www/good/$name.gz" "$work/new/$name.gz" || fail "$name.gz differs"
done

# Files that are right are kept, compressed or not; the next server is not asked at all.
gzip -d "$work/new/t10k-labels-idx1-ubyte.gz"
get 0 http://127.0.0.1:1 "$work/new"
holds 4 "$work/new"

# A damaged file is replaced, and only that.
head -c 500 "$digits/t10k-images-idx3-ubyte.gz" >"$work/new/t10k-images-idx3-ubyte.gz"
requests=$(grep -c GET "$work/requests")
get 0 "$base/good/" "$work/new"
cmp -s "$work/www/good/t10k-images-idx3-ubyte.gz" "$work/new/t10k-images-idx3-ubyte.gz" || fail "it is still damaged"
[[ $(grep -c GET "$work/requests") -eq $((requests + 1)) ]] || fail "more than one file was downloaded"

# One that would be read before ours and is wrong is the user's to remove.
echo "mine" >"$work/new/t10k-images-idx3-ubyte"
get 1 "$base/good" "$work/new"
says "please remove it"

# What is cut short, of other content or missing is refused and leaves nothing.
for place in cut other nowhere; do
    get 1 "$base/$place" "$work/bad"
    says "could not be had"
    holds 0 "$work/bad"
done
get 1 http://127.0.0.1:1 "$work/bad"
holds 0 "$work/bad"

# The next place is tried.
get 0 "$base/cut $base/good" "$work/bad"
holds 4 "$work/bad"

# Mistakes of the user.
get 2 "$base/good" --nonsense
get 0 "$base/good" --help
says "Usage: scripts/get-mnist"
touch "$work/file"
get 1 "$base/good" "$work/file"

echo "all as it should be"
