#!/usr/bin/env bash
# Runs the mnist example as its users do: on drawn digits, on MNIST where that is at hand, and with mistakes.
#
# Usage: tests/mnist_program.sh PROGRAM
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh" "$1"

# row NAME FIGURE... expects a line of the table with a figure of each form.
row() {
    local form="^  $1"
    shift
    form+=$(printf ' +%s' "$@")
    grep -qE "$form\$" "$work/out" || fail "no line like '$form'"
}

# ---- drawn digits

run 0 --epochs 2 --json "$work/first"
grep -q "^generated digits" "$work/out" || fail "does not say that the digits are generated"
above 85
[[ $(wc -l <"$work/first") -eq 2 ]] || fail "not one line of JSON an epoch"
if command -v python3 >/dev/null 2>&1; then
    while IFS= read -r line; do
        python3 -m json.tool <<<"$line" >/dev/null || fail "no JSON: $line"
    done <"$work/first"
fi
for key in epoch loss test_accuracy seconds pool digest hit_ratio; do
    grep -q "\"$key\":" "$work/first" || fail "no $key in the JSON"
done
grep -q "$(printf '\r')" "$work/out" && fail "a carriage return where there is no terminal"
grep -q " $" "$work/out" && fail "a space at the end of a line"
grep -q "^adam, learning rate 0.001 falling to 0 along a cosine, batches of 128, seed 1$" "$work/out" ||
    fail "does not say how it trains"

# What memory did: counts that belong together, bytes with their unit.
n='[0-9]+' bytes='[0-9]+(\.[0-9][0-9] [KMGT]i| )B'
row "tensors" "$n" "$n"
for name in "memory of tensors" "requested" "in use, as whole blocks" "reserved from the system" "cached for reuse"; do
    row "$name" "$bytes" "$bytes"
done
for name in "tensors created" "tensors released" "acquisitions" "releases" "system calls to reserve" \
    "system calls to give back"; do
    row "$name" "$n"
done
row "reused blocks \(hits\)" "$n" "[0-9]+\.[0-9][0-9]%"
row "memory saved by reuse" "$bytes"
share='[0-9]+\.[0-9][0-9]%'
for name in parameter gradient activation optimizer data; do
    row "$name" "$bytes" "$share"
done
awk '/^what the peak was made of/ { on = 1; next } on && NF == 0 { exit } on { sub("%", "", $NF); sum += $NF }
    END { exit !(sum > 99.9 && sum < 100.1) }' "$work/out" || fail "the shares of the peak do not add up"
grep -q "^phase " "$work/out" && fail "phases that nobody asked for"
awk '/^  tensors  / { active = $2 } /^  tensors created/ { created = $3 } /^  tensors released/ { released = $3 }
    END { exit !(created > 0 && active == created - released) }' "$work/out" || fail "the counts of tensors disagree"

# The same seed gives the same weights, another seed others.
run 0 --generated --epochs 2 --json="$work/second"
[[ $(digest "$work/first") =~ ^[0-9a-f]{16}$ ]] || fail "no digest"
[[ $(digest "$work/first") == "$(digest "$work/second")" ]] || fail "the same seed gives other weights"
run 0 --epochs 2 --plan --json "$work/planned"
[[ $(digest "$work/planned") == "$(digest "$work/first")" ]] || fail "a plan gives other weights"
run 0 --epochs 2 --seed 2 --json "$work/third"
[[ $(digest "$work/first") != "$(digest "$work/third")" ]] || fail "another seed gives the same weights"

# Every optimiser and other shapes of network.
run 0 --epochs 1 --optimizer sgd --hidden 64,32 --batch 100
grep -q "^network 784-64-32-10, " "$work/out" || fail "does not show the network"
grep -q "^sgd with momentum 0.9, learning rate 0.05 falling" "$work/out" || fail "does not show sgd's momentum"
above 80
run 0 --epochs 1 --optimizer adamw --lr 2e-3 --threads 2
above 80

# ---- reports about memory

files=("$work/page.html" "$work/trace.json" "$work/snapshot.pickle" "$work/events.csv")
run 0 --epochs 2 --memory-report "${files[0]}" --trace "${files[1]}" --snapshot "${files[2]}" --events "${files[3]}" \
    --max-capacity 64M --json "$work/reported"
[[ $(digest "$work/reported") == "$(digest "$work/first")" ]] || fail "a report changes the weights"
for phase in data mlp.0 mlp.1 backward optimizer; do
    grep -q "^$phase  *[0-9]" "$work/out" || fail "no phase $phase"
done
grep -q "mnist: 784-128-10, adam, batches of 128" "${files[0]}" || fail "the page has no title"
grep -qiE '(src|href)="?https?:' "${files[0]}" && fail "the page needs a network"
head -n 1 "${files[3]}" | grep -q "^ns,event," || fail "no head of the columns: $(head -n 1 "${files[3]}")"
if command -v python3 >/dev/null 2>&1; then
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "${files[1]}" || fail "the trace is no JSON"
    python3 -c 'import pickle, sys; assert pickle.load(open(sys.argv[1], "rb"))["segments"]' "${files[2]}" ||
        fail "the snapshot is no pickle with segments"
fi

# ---- what training would need: enough for training, which with 64 KiB less fails

# forecast ARGUMENT... sets `enough` to the smallest capacity that the dry run found.
forecast() {
    run 0 "$@" --dry-run
    grep -q "^epoch" "$work/out" && fail "a dry run trains: $*"
    [[ -z $(ls -A .) ]] || fail "a dry run wrote something: $*"
    enough=$(awk '/^  smallest --max-capacity  / { print $NF }' "$work/out")
}

# The second: its test leaves blocks that the next epoch does not use, and its last batch is a single image.
for arguments in "--batch 128" "--batch 19999 --optimizer sgd --hidden 32,16"; do
    # shellcheck disable=SC2086
    set -- $arguments
    forecast "$@"
    [[ $enough =~ ^[1-9][0-9]*$ && $((enough % 65536)) -eq 0 ]] || fail "a dry run found '$enough'"
    echo "$arguments: a capacity of $enough bytes suffices, $((enough - 65536)) do not"
    run 0 "$@" --epochs 2 --max-capacity "$enough"
    breaks 1 "(max_capacity $((enough - 65536)), " "$@" --epochs 2 --max-capacity "$((enough - 65536))"
    # What memory did until then is written all the same.
    run 1 "$@" --epochs 2 --max-capacity "$((enough - 65536))" --events "$work/failed.csv"
    grep -q '^[0-9]*,fail,' "$work/failed.csv" || fail "the failure is not among the events: $*"
done
refuses 1 "out of memory" --epochs 1 --max-capacity 1K --memory-report file
refuses 1 "out of memory" --epochs 1 --max-capacity 1 --memory-report file

# ---- mistakes

run 0 --help
grep -q "^Usage: mnist" "$work/out" || fail "no help"
[[ $(grep -c '^  --' "$work/out") -eq 18 ]] || fail "the help does not list every flag"
refuses 2 "--nonsense" --nonsense
refuses 2 "digits" digits
refuses 2 "--epochs" --epochs
for value in 0 -1 1.5 x "" 1x " 1" 9223372036854775808; do
    refuses 2 "--epochs takes" --epochs "$value" --json file
    refuses 2 "--batch takes" --batch "$value"
    refuses 2 "--threads takes" --threads "$value"
done
for value in 0 -0.1 nan inf 1e999 1e-999 0x1 x "" 1,5; do
    refuses 2 "--lr takes" --lr "$value" --json file
done
for value in "" 0 "128," ",128" 128,,64 12a 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17; do
    refuses 2 "--hidden takes" --hidden "$value"
done
refuses 2 "--optimizer takes" --optimizer rmsprop
refuses 2 "--seed takes" --seed -1
refuses 2 "--seed takes" --seed 18446744073709551616
for flag in --json --memory-report --trace --snapshot --events; do
    refuses 2 "$flag takes" "$flag" ""
    refuses 2 "$flag takes" "$flag"
    refuses 2 "--dry-run writes no files" "$flag" file --dry-run
    refuses 1 "no-such/file cannot be made" --epochs 1 "$flag" no-such/file
    refuses 1 "/ cannot be made" --epochs 1 "$flag" /
done
for flag in --memory-report --trace --snapshot --events; do
    refuses 1 "no-such" --data no-such "$flag" file
done
breaks 1 "a smaller --lr" --epochs 2 --lr 1e30 --optimizer sgd --memory-report file --trace file2
ln -s nowhere "$work/link"
refuses 1 "link cannot be made" --memory-report "$work/link"
for value in 0 -1 1.5 x "" K 1k 1KB 1KK " 1" 18446744073709551616 17179869184G; do
    refuses 2 "--max-capacity takes" --max-capacity "$value"
done
refuses 2 "--dry-run takes no value" --dry-run=1
refuses 2 "--dry-run tells" --dry-run --max-capacity 64M
refuses 2 "training images" --generated --batch 20001 --dry-run
refuses 1 "no-such" --data no-such --dry-run
refuses 2 "--generated takes no value" --generated=1
refuses 2 "training images" --generated --batch 20001 --json file

refuses 1 "no-such" --data no-such --json file
refuses 1 "train-images" --data "$work" --json file
TARN_MNIST_DIR=$work refuses 1 "train-images" --json file
breaks 1 "a smaller --lr" --epochs 2 --lr 1e30 --optimizer sgd
if [[ -w /dev/full ]]; then
    breaks 1 "/dev/full cannot be written" --epochs 1 --json /dev/full
    status=0
    "$program" --epochs 1 >/dev/full 2>"$work/err" || status=$?
    [[ $status -eq 1 ]] || fail "exit status $status when the output is full"
fi
status=0
"$program" --epochs 1 >&- 2>"$work/err" || status=$?
[[ $status -eq 1 ]] || fail "exit status $status when the output is closed"

# ---- files of its own: twenty black images to train with, ten to test with, all of them of a 3

# files makes the four of them anew.
files() {
    rm -rf "$data"
    mkdir "$data"
    idx train-images-idx3-ubyte 0 20 4 5
    idx train-labels.idx1-ubyte 3 20
    idx t10k-images.idx3-ubyte 0 10 4 5
    idx t10k-labels-idx1-ubyte 3 10
    gzip "$data"/t10k*
}

files
run 0 --data "$data" --batch 7 --epochs 3 --lr 0.1
grep -q "^MNIST from $data" "$work/out" || fail "does not say where the data is from"
above 99
TARN_MNIST_DIR=$data run 0 --batch 20 --epochs 1
grep -q "^MNIST from $data" "$work/out" || fail "does not use TARN_MNIST_DIR"

rm "$data/t10k-labels-idx1-ubyte.gz"
refuses 1 "has no t10k-labels-idx1-ubyte" --data "$data"
files
idx train-labels.idx1-ubyte 3 19
refuses 1 "19 labels" --data "$data" --batch 7
files
idx train-labels.idx1-ubyte 12 20
refuses 1 "label 0 is 10" --data "$data" --batch 7
files
idx train-labels.idx1-ubyte 3 20 1
refuses 1 "not a list of labels" --data "$data" --batch 7
files
idx train-images-idx3-ubyte 0 20
refuses 1 "not images" --data "$data" --batch 7
files
idx train-images-idx3-ubyte 0 20 5 4
refuses 1 "differ in the size" --data "$data" --batch 7
files
head -c 300 "$data/train-images-idx3-ubyte" >"$data/cut"
mv "$data/cut" "$data/train-images-idx3-ubyte"
refuses 1 "train-images-idx3-ubyte" --data "$data" --batch 7
files
mkdir "$data/train-labels-idx1-ubyte"
refuses 1 "is a directory" --data "$data" --batch 7

# ---- the real ones

if [[ -n $mnist ]]; then
    run 0 --data "$mnist" --epochs 1
    above 94
    forecast --data "$mnist"
    echo "MNIST: a capacity of $enough bytes suffices, $((enough - 65536)) do not"
    run 0 --data "$mnist" --epochs 2 --max-capacity "$enough"
    breaks 1 "out of memory" --data "$mnist" --epochs 2 --max-capacity "$((enough - 65536))"
else
    echo "MNIST is not here; only drawn digits were tried"
fi
echo "all as it should be"
