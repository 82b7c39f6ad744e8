#!/usr/bin/env bash
# Runs the autoencoder example: on drawn digits, on small files for many epochs, and with mistakes; looks at the picture.
#
# Usage: tests/autoencoder_program.sh PROGRAM
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh" "$1"

# below NUMBER expects a last line of its form with a lower error.
below() {
    local form='^test error (0\.[0-9]{4}) after [0-9]+ epochs?, [0-9]+\.[0-9][0-9] s of training$'
    [[ $(tail -n 1 "$work/out") =~ $form ]] || fail "the last line is: $(tail -n 1 "$work/out")"
    awk "BEGIN { exit !(${BASH_REMATCH[1]} < $1) }" || fail "error ${BASH_REMATCH[1]} is not below $1"
}

# picture FILE WIDTH HEIGHT expects a PGM file of that size, with something other than black and frame in it, and removes
# it.
picture() {
    local head
    head=$(printf 'P5\n%d %d\n255' "$2" "$3")
    [[ $(head -n 3 "$1") == "$head" ]] || fail "$1 begins with: $(head -n 3 "$1" | tr '\n' ' ')"
    [[ $(wc -c <"$1") -eq $((${#head} + 1 + $2 * $3)) ]] || fail "$1 has $(wc -c <"$1") bytes"
    [[ $(tail -n +4 "$1" | tr -d '\000\146' | wc -c) -gt 0 ]] || fail "$1 shows nothing"
    rm "$1"
}

# ---- drawn digits, in the short form: one epoch. Grey everywhere as in the mean of all images would leave 0.08.

run 0 --generated --epochs 1 --picture "$work/drawn.pgm"
below 0.02
grep -q "^32 numbers for an image, 118913 parameters; batches of 64, seed 1$" "$work/out" || fail "does not show the network"
picture "$work/drawn.pgm" $((5 * (2 * 28 + 1 + 4))) $((8 * (28 + 4)))

# ---- small files: steps are steady from the third epoch on, with a last batch of its own size

digits 43 12 20
run 0 --data "$data" --batch 7 --epochs 6
picture autoencoder.pgm $((5 * (2 * 20 + 1 + 4))) $((8 * (12 + 4)))
digits 3 8 4
run 0 --data "$data" --epochs 3
picture autoencoder.pgm $((3 * (2 * 4 + 1 + 4))) $((8 + 4))
digits 9 8 4
run 0 --data "$data" --epochs 1 --seed 2 --lr 0.01 --threads 2
picture autoencoder.pgm $((5 * (2 * 4 + 1 + 4))) $((8 + 4))

# ---- mistakes

run 0 --help
grep -q "^Usage: autoencoder" "$work/out" || fail "no help"
[[ $(grep -c '^  --' "$work/out") -eq 9 ]] || fail "the help does not list every flag"
for flag in --hidden --optimizer --json --dry-run --max-capacity; do
    refuses 2 "autoencoder: unknown argument $flag" "$flag" 1
done
refuses 2 "autoencoder: --picture takes" --picture ""
refuses 1 "no-such/file cannot be made" --data "$data" --picture no-such/file
refuses 1 "no-such" --data no-such
idx train-images-idx3-ubyte 100 9 8 4 # grey: black ones are drawn right by numbers however large
breaks 1 "a smaller --lr" --data "$data" --epochs 3 --lr 1e30
digits 20 8 9
refuses 1 "images of 8x9" --data "$data"
idx t10k-images-idx3-ubyte 0 20 8
refuses 1 "not images" --data "$data"
if [[ -w /dev/full ]]; then
    digits 9 8 4
    status=0
    "$program" --data "$data" --epochs 1 >/dev/full 2>"$work/err" || status=$?
    [[ $status -eq 1 ]] || fail "exit status $status when the output is full"
fi
echo "all as it should be"
