#!/usr/bin/env bash
# Runs every mistake of tests/mistakes.c under every tool, and fails unless each is found by the tools that can find it
# and a run without a mistake is silent.
#
# Usage: tests/mistakes.sh [KIND=PROGRAM ...]
# KIND says how the program was built: plain, asan, valgrind (with TARN_VALGRIND) or msan. Without arguments, the programs
# are those that the presets dev, asan, valgrind and msan have built. Tools without a program are skipped.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/../scripts
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

case ${1:-} in
    -h | --help) print_help; exit ;;
esac

# ---- the tools: what each is, and the kind of program it takes

tools=(light full asan asan_pass valgrind valgrind_pass msan)
declare -A kind_of=(
    [light]=plain [full]=plain [asan]=asan [asan_pass]=asan [valgrind]=valgrind [valgrind_pass]=valgrind [msan]=msan
)
declare -A title=(
    [light]="light checking, which is always on"
    [full]="full checking"
    [asan]="AddressSanitizer"
    [asan_pass]="AddressSanitizer, pass-through"
    [valgrind]="Valgrind"
    [valgrind_pass]="Valgrind, pass-through"
    [msan]="MemorySanitizer"
)

# run_under TOOL PROGRAM MISTAKE prints all that is said; the status does not matter.
run_under() {
    local tool=$1 program=$2 mistake=$3
    local -a launcher=() settings=(OPENBLAS_NUM_THREADS=1)
    case $tool in
        full) settings+=(TARN_POOL_CHECKING=full) ;;
        *_pass) settings+=(TARN_POOL_MODE=pass_through) ;;
    esac
    case $tool in
        asan*) settings+=(ASAN_OPTIONS=detect_leaks=1) ;;
        valgrind*)
            # shellcheck disable=SC2054  # the commas are Valgrind's
            launcher=(valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect,possible
                "--suppressions=$root/tests/valgrind.supp")
            ;;
    esac
    env "${settings[@]}" timeout 120 "${launcher[@]}" "$program" "$mistake" 2>&1
}

# ---- what they say

declare -A text=(
    [over]="tarn: overrun: block"
    [under]="tarn: underrun: block"
    [late]="tarn: use after release: block"
    [twice]="tarn: bad release: block .* was released before"
    [foreign]="tarn: bad release: block .* is not of this pool"
    [array]="tarn: bad release: .* is no array of this pool"
    [dtype]="tarn: bad release: array .* was acquired as float32 and released as float64"
    [leak]="tarn: leak: block .* was never released"
    [kept]="tarn: float32 .*, retained and not released"
    [ended]="tarn: .* ended with its scope"
    [nan]="the sum is no number"
    [poison]="AddressSanitizer: use-after-poison"
    [heap]="AddressSanitizer: heap-buffer-overflow"
    [freed]="AddressSanitizer: heap-use-after-free"
    [leaks]="LeakSanitizer: detected memory leaks"
    [write]="Invalid write of size 1"
    [read]="Invalid read of size 1"
    [inside]="inside a block of size 128 client-defined"
    [at_edge]="(inside|before|after) a block of size [0-9,]+ (alloc'd|client-defined)"
    [gone]="inside a block of size [0-9,]+ free'd"
    [depends]="depends on uninitialised value"
    [lost]="[0-9,]+ bytes in 1 blocks are (definitely|indirectly|possibly) lost"
    [unknown]="MemorySanitizer: use-of-uninitialized-value"
)

# Each mistake, and what each tool says of it; - where it cannot know. Of the releases that cannot be, the library tells in
# every build.
expected="
overrun            -       over    poison  heap        write+inside  write+at_edge  -
underrun           -       under   poison  heap        write+inside  write+at_edge  -
overread           -       -       poison  heap        read+inside   read+at_edge   unknown
late_write         -       late    poison  freed       write+gone    write+gone     -
late_read          -       -       poison  freed       read+gone     read+gone      unknown
uninitialised      -       nan     -       -           depends       depends        unknown
double_release     twice   twice   twice   twice       twice         twice          twice
stale_release      twice   twice   twice   twice       twice         twice          twice
foreign_block      foreign foreign foreign foreign     foreign       foreign        foreign
wrong_pool         foreign foreign foreign foreign     foreign       foreign        foreign
foreign_array      array   array   array   array       array         array          array
wrong_dtype        dtype   dtype   dtype   dtype       dtype         dtype          dtype
leaked_block       leak    leak    leak    leak+leaks  leak+lost     leak+lost      leak
unreleased_tensor  kept    kept    kept    kept        kept          kept           kept
dangling_tensor    ended   ended   ended   ended       ended         ended          ended
dangling_reused    -       ended   -       -           -             -              -
stale_elements     -       late    poison  freed       write+gone    write+gone     -
element_overrun    -       over    poison  heap        write+inside  write+at_edge  -
"

# ---- which can run

declare -A program=() why_not=()
if [[ $# -eq 0 ]]; then
    for pair in plain=dev asan=asan valgrind=valgrind msan=msan; do
        file=$root/build/${pair#*=}/tests/mistakes
        if [[ -x $file ]]; then set -- "$@" "${pair%%=*}=$file"; fi
    done
fi
for pair; do
    [[ -x ${pair#*=} ]] || die "there is no program ${pair#*=}"
    program[${pair%%=*}]=${pair#*=}
done
for tool in "${tools[@]}"; do
    if [[ -z ${program[${kind_of[$tool]}]:-} ]]; then
        why_not[$tool]="no program of the kind ${kind_of[$tool]}"
    elif [[ $tool == valgrind* ]] && ! command -v valgrind >/dev/null 2>&1; then
        why_not[$tool]="valgrind is not installed"
    fi
done
[[ ${#why_not[@]} -lt ${#tools[@]} ]] || die "no program was given, and none is built"

# ---- running them

unset "${!TARN_POOL_@}"
failed=0

# complain TOOL MISTAKE WHAT OUTPUT
complain() {
    printf '%s under %s: %s\n' "$2" "${title[$1]}" "$3"
    printf '    %s\n' "${4//$'\n'/$'\n'    }"
    failed=$((failed + 1))
}

# check TOOL MISTAKE EXPECTED sets `result`.
check() {
    local tool=$1 mistake=$2 keys=$3 output key
    result=skipped
    [[ -z ${why_not[$tool]:-} ]] || return 0
    result=-
    [[ $keys != - ]] || return 0
    output=$(run_under "$tool" "${program[${kind_of[$tool]}]}" "$mistake") || true
    result=found
    for key in ${keys//+/ }; do
        if ! grep -qE -e "${text[$key]}" <<<"$output"; then
            result=MISSED
            complain "$tool" "$mistake" "nothing like \"${text[$key]}\" in" "$output"
        fi
    done
}

format='%-19s %-8s %-8s %-8s %-10s %-9s %-14s %s\n'
# shellcheck disable=SC2059  # the format is the line above
table=$(printf "$format" mistake "${tools[@]}")
while read -r mistake keys; do
    [[ -n $mistake ]] || continue
    read -ra cells <<<"$keys"
    row=("$mistake")
    for i in "${!tools[@]}"; do
        check "${tools[i]}" "$mistake" "${cells[i]}"
        row+=("$result")
    done
    # shellcheck disable=SC2059
    table+=$'\n'$(printf "$format" "${row[@]}")
done <<<"$expected"

row=("none")
for tool in "${tools[@]}"; do
    result=skipped
    if [[ -z ${why_not[$tool]:-} ]]; then
        result=silent
        status=0
        output=$(run_under "$tool" "${program[${kind_of[$tool]}]}" none) || status=$?
        if [[ $status -ne 0 || -n $output ]]; then
            result=NOISY
            complain "$tool" none "status $status, and it says" "$output"
        fi
    fi
    row+=("$result")
done
# shellcheck disable=SC2059
table+=$'\n'$(printf "$format" "${row[@]}")

# ---- telling

printf '%s\n\n' "$table"
for tool in "${tools[@]}"; do
    printf '%-14s %s%s\n' "$tool" "${title[$tool]}" "${why_not[$tool]:+; skipped: ${why_not[$tool]}}"
done
[[ $failed -eq 0 ]] || die "$failed expectations were not met"
