#!/usr/bin/env bash
# Trains examples/mnist_cnn on the real digits, as it does without flags: at least 99 % after five epochs for each seed.
#
# Usage: tests/mnist_cnn_real.sh PROGRAM [SEED ...]
# Without seeds it takes 1, 2 and 3. Exit status 77: skipped, because the digits are in none of $TARN_MNIST_DIR,
# data/mnist and ../shared/data/mnist.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

program=$1
shift
[[ $# -gt 0 ]] || set -- 1 2 3
if ! digits=$(find_mnist); then
    echo "skipped: MNIST is in none of \$TARN_MNIST_DIR, data/mnist, ../shared/data/mnist (scripts/get-mnist)"
    exit 77
fi

for seed; do
    last=$("$program" --data "$digits" --seed "$seed" | tail -n 1)
    echo "seed $seed: $last"
    accuracy=$(sed -n 's/^test accuracy \([0-9.]*\)% after 5 epochs.*/\1/p' <<<"$last")
    awk "BEGIN { exit !(\"$accuracy\" + 0 >= 99) }" || { echo "below 99 %"; exit 1; }
done
