#!/usr/bin/env bash
# Runs the small examples as their users do: asked for help, with mistakes, without memory, without a place to write to.
#
# Usage: tests/example_programs.sh PROGRAM ...
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out" "$work/err"
    exit 1
}

# run STATUS COMMAND... expects an exit status; what the program says is in $work/out and $work/err.
run() {
    local expected=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" || status=$?
    [[ $status -eq $expected ]] || fail "exit status $status instead of $expected for: $*"
}

# breaks STATUS TEXT COMMAND... expects one line on stderr that begins with the program's name and has the text.
breaks() {
    local status=$1 text=$2
    shift 2
    run "$status" "$@"
    [[ $(wc -l <"$work/err") -eq 1 ]] || fail "not one line on stderr: $*"
    grep -q "^$name: " "$work/err" || fail "does not say who it is: $*"
    grep -qF -- "$text" "$work/err" || fail "does not say '$text': $*"
}

for program; do
    name=$(basename "$program")
    count=--steps
    [[ $name != cartpole ]] || count=--rounds

    for help in --help -h; do
        run 0 "$program" "$help"
        [[ ! -s $work/err ]] || fail "--help says something on stderr"
        grep -q "^Usage: $name " "$work/out" || fail "--help does not say how to use it"
    done

    breaks 2 "unknown argument --speed" "$program" --speed 3
    breaks 2 "unknown argument more" "$program" more
    breaks 2 "--seed takes a whole number from 0 to 2^64 - 1, not \"-1\"" "$program" --seed -1
    breaks 2 "$count takes a whole number from 1 to 1000000, not \"0\"" "$program" "$count=0"
    breaks 2 "$count takes a whole number from 1 to 1000000, not \"1.5\"" "$program" "$count" 1.5
    breaks 2 "$count takes a whole number from 1 to 1000000" "$program" "$count"
    breaks 2 "--check takes no value" "$program" --check=1

    # Too little learning is no failure unless it is asked about.
    run 0 "$program" "$count" 1
    run 1 "$program" "$count" 1 --check
    [[ $(wc -l <"$work/err") -eq 1 ]] || fail "does not say what was missed"
    breaks 1 "out of memory" env TARN_POOL_MAX_CAPACITY=100000 "$program" "$count" 3
    # shellcheck disable=SC2016
    [[ ! -w /dev/full ]] || breaks 1 "cannot be written" sh -c '"$0" "$1" 1 >/dev/full' "$program" "$count"

    # The same seed says the same, another something else.
    run 0 "$program" "$count=3" --seed=7
    mv "$work/out" "$work/first"
    run 0 "$program" "$count=3" --seed=7
    cmp -s "$work/first" "$work/out" || fail "another result with the same seed"
    run 0 "$program" "$count=3" --seed=8
    ! cmp -s "$work/first" "$work/out" || fail "the same result with another seed"

    case $name in
        regression)
            run 0 "$program" --steps 1 --csv "$work/curve.csv"
            [[ $(wc -l <"$work/curve.csv") -eq 74 ]] || fail "the file for --csv has not 74 lines"
            [[ $(head -n 1 "$work/curve.csv") == x,curve,mean,* ]] || fail "the file for --csv lacks its names"
            breaks 1 "--csv cannot be written" "$program" --steps 1 --csv "$work/none/curve.csv"
            ;;
        text)
            printf 'abab' >"$work/abab"
            run 0 "$program" --file "$work/abab" --steps 60 --length 8 --temperature 0.1
            [[ $(tail -n 1 "$work/out") == abababab ]] || fail "has not learnt abab"
            breaks 1 "cannot be read, or is empty" "$program" --file "$work/none"
            breaks 2 "--temperature takes a number from 0.01 to 100, not \"0\"" "$program" --temperature 0
            ;;
    esac
    echo "$name: passed"
done
