# shellcheck shell=bash
# programs.sh - what the tests of programs that learn from digits share. To be sourced with the program to run; the
# test goes on in an empty folder, $work/here. $mnist is where MNIST is, or empty.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

program=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# shellcheck disable=SC2034
mnist=$(find_mnist) || mnist=
unset TARN_MNIST_DIR
# What is drawn goes through files here; nothing may be left of them. There is no data/mnist here either.
export TMPDIR=$work/tmp
mkdir "$TMPDIR" "$work/here"
cd "$work/here" || exit

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out" "$work/err"
    exit 1
}

# run STATUS ARGUMENT... runs the program and expects an exit status; what it says is in $work/out and $work/err.
run() {
    local expected=$1 status=0
    shift
    "$program" "$@" >"$work/out" 2>"$work/err" || status=$?
    [[ $status -eq $expected ]] || fail "exit status $status instead of $expected for: $*"
    [[ -z $(ls -A "$TMPDIR") ]] || fail "temporary files are left: $*"
}

# breaks STATUS TEXT ARGUMENT... expects one line on stderr with the text, and no file written.
breaks() {
    local status=$1 text=$2
    shift 2
    run "$status" "$@"
    [[ $(wc -l <"$work/err") -eq 1 ]] || fail "not one line on stderr: $*"
    grep -qF -- "$text" "$work/err" || fail "does not say '$text': $*"
    [[ -z $(ls -A .) ]] || fail "something was written: $*"
}

# refuses expects the same before anything was printed.
refuses() {
    breaks "$@"
    [[ ! -s $work/out ]] || fail "something was printed before: $*"
}

# accuracy prints the number of the last line, after a check of its form.
accuracy() {
    local form='^test accuracy ([0-9]+\.[0-9][0-9])% after [0-9]+ epochs?, [0-9]+\.[0-9][0-9] s of training$'
    [[ $(tail -n 1 "$work/out") =~ $form ]] || fail "the last line is: $(tail -n 1 "$work/out")"
    echo "${BASH_REMATCH[1]}"
}

# above NUMBER expects a higher accuracy.
above() {
    local reached
    reached=$(accuracy)
    awk "BEGIN { exit !($reached > $1) }" || fail "accuracy $reached is not above $1"
}

digest() { sed -n 's/.*"digest":"\([0-9a-f]*\)".*/\1/p' "$1" | tail -n 1; }

# ---- files of one's own, in $data

data=$work/data

# bytes COUNT VALUE, which is octal
bytes() { head -c "$1" /dev/zero | tr '\0' "\\$2"; }

# idx NAME VALUE SIZE... writes an array of bytes that have the value; sizes are below 256.
idx() {
    local name=$1 value=$2 n=1 size
    shift 2
    {
        printf '%b' "\\0\\0\\010\\x$#"
        for size; do
            printf '%b' "\\0\\0\\0\\x$(printf '%x' "$size")"
            n=$((n * size))
        done
        bytes "$n" "$value"
    } >"$data/$name"
}

# digits N HEIGHT WIDTH makes files of N black images to train with and N to test with, all of them of a 3.
digits() {
    rm -rf "$data"
    mkdir "$data"
    idx train-images-idx3-ubyte 0 "$@"
    idx train-labels-idx1-ubyte 3 "$1"
    idx t10k-images-idx3-ubyte 0 "$@"
    idx t10k-labels-idx1-ubyte 3 "$1"
}
