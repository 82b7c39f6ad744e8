#!/usr/bin/env bash
# Trains examples/mnist on the real digits as the README shows it: at least 97.5 % after ten epochs for each of three
# seeds, equal weights from equal seeds, and little memory reserved beyond what is in use.
#
# Usage: tests/mnist_real.sh PROGRAM
# Exit status 77: skipped, because the digits are in none of $TARN_MNIST_DIR, data/mnist and ../shared/data/mnist.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

program=$1
if ! digits=$(find_mnist); then
    echo "skipped: MNIST is in none of \$TARN_MNIST_DIR, data/mnist, ../shared/data/mnist (scripts/get-mnist)"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# train SEED NAME
train() {
    "$program" --data "$digits" --hidden 128 --batch 128 --optimizer adam --lr 0.001 --epochs 10 \
        --seed "$1" --json "$work/$2" | tail -n 1
}

for seed in 1 2 3; do
    last=$(train "$seed" "$seed")
    echo "seed $seed: $last"
    accuracy=$(sed -n 's/^test accuracy \([0-9.]*\)%.*/\1/p' <<<"$last")
    awk "BEGIN { exit !($accuracy >= 97.5) }" || { echo "below 97.5 %"; exit 1; }
done
train 1 again >/dev/null
digest() { tail -n 1 "$work/$1" | grep -o '"digest":"[0-9a-f]*"'; }
[[ $(digest 1) == $(digest again) ]] || { echo "seed 1 gave $(digest 1), then $(digest again)"; exit 1; }
[[ $(digest 1) != $(digest 2) ]] || { echo "two seeds gave the same weights"; exit 1; }
echo "seed 1 twice: $(digest 1)"

# What the pool reserves at its peak against what is in use, the data set left out of both.
figure() { tail -n 1 "$work/1" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
data=$((47042560 + 7843840 + 60032 + 10240)) # the blocks of images and labels
awk -v reserved="$(figure peak_reserved)" -v in_use="$(figure peak_in_use)" -v data="$data" 'BEGIN {
    ratio = (reserved - data) / (in_use - data)
    printf "reserved / in use at the peak, without the data set: %.3f\n", ratio
    exit !(ratio <= 1.10)
}' || { echo "more than 1.10 reserved"; exit 1; }
