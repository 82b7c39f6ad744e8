#!/usr/bin/env bash
# Runs the mnist_cnn example: on drawn digits, on small files for many epochs, with little memory, and with mistakes.
# (mnist_program.sh tries all that the two programs share.)
#
# Usage: tests/mnist_cnn_program.sh PROGRAM
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh" "$1"

# ---- drawn digits, in the short form: one epoch

run 0 --generated --epochs 1 --json "$work/drawn"
above 98
grep -q "^network 1x28x28-16x12x12-32x4x4-10, 18426 parameters; " "$work/out" || fail "does not show the network"
grep -q "^adamw, learning rate 0.01 at the top of one cycle, batches of 64, seed 1$" "$work/out" ||
    fail "does not say how it trains"
[[ $(digest "$work/drawn") =~ ^[0-9a-f]{16}$ ]] || fail "no digest"

# ---- small files: steps are steady from the third epoch on, with a last batch of its own size, whatever else is asked

digits 20 16 17
run 0 --data "$data" --batch 7 --epochs 6 --json "$work/first"
run 0 --data "$data" --batch 7 --epochs 6 --plan --json "$work/planned"
[[ $(digest "$work/planned") == "$(digest "$work/first")" ]] || fail "a plan gives other weights"
above 99
[[ $(wc -l <"$work/first") -eq 6 ]] || fail "not one line of JSON an epoch"
for optimizer in sgd adam; do
    run 0 --data "$data" --batch 20 --epochs 4 --optimizer "$optimizer"
done
breaks 1 'mnist_cnn: batch_norm "norm2": one element a channel' --data "$data" --batch 1
run 0 --data "$data" --batch 20 --epochs 1 --threads 2
run 0 --data "$data" --batch 7 --epochs 6 --json "$work/second" --memory-report "$work/page.html" \
    --events "$work/events.csv" --trace "$work/trace.json" --snapshot "$work/snapshot.pickle"
[[ $(digest "$work/first") == "$(digest "$work/second")" ]] || fail "a report changes the weights"
for phase in data conv1 norm1 conv2 norm2 top backward optimizer; do
    grep -q "^$phase  *[0-9]" "$work/out" || fail "no phase $phase"
done
grep -q "mnist_cnn: 1x16x17-16x6x6-32x1x1-10, adamw, batches of 7" "$work/page.html" || fail "the page has no title"
run 0 --data "$data" --batch 7 --epochs 6 --json "$work/third" --seed 2
[[ $(digest "$work/first") != "$(digest "$work/third")" ]] || fail "another seed gives the same weights"

# ---- what training would need

run 0 --data "$data" --batch 7 --dry-run
enough=$(awk '/^  smallest --max-capacity  / { print $NF }' "$work/out")
[[ $enough =~ ^[1-9][0-9]*$ ]] || fail "a dry run found '$enough'"
run 0 --data "$data" --batch 7 --epochs 4 --max-capacity "$enough"
breaks 1 "mnist_cnn: " --data "$data" --batch 7 --epochs 4 --max-capacity "$((enough - 65536))"
grep -q "out of memory" "$work/err" || fail "does not say what is short"

# ---- mistakes

run 0 --help
grep -q "^Usage: mnist_cnn" "$work/out" || fail "no help"
grep -q "^  --epochs N .*(5)$" "$work/out" || fail "the help does not show the epochs"
[[ $(grep -c '^  --' "$work/out") -eq 17 ]] || fail "the help does not list every flag"
refuses 2 "mnist_cnn: unknown argument --hidden" --hidden 128
refuses 2 "mnist_cnn: --batch takes" --batch 0
refuses 2 "training images" --data "$data" --batch 21
refuses 1 "no-such" --data no-such
breaks 1 "a smaller --lr" --data "$data" --batch 7 --lr 1e30
digits 20 15 16
refuses 1 "images of 15x16 are too small" --data "$data" --batch 7
refuses 1 "images of 15x16 are too small" --data "$data" --batch 7 --dry-run
echo "all as it should be"
