#!/bin/bash
# run.sh SECONDS FUZZER... - runs each fuzzer for so long, keeps its corpus in
# build-fuzz/corpus, and names what it found. FUZZ_SEED draws other inputs.
set -uo pipefail

seconds=$1
shift
failed=0
for fuzzer in "$@"; do
	name=$(basename "$fuzzer")
	corpus=build-fuzz/corpus/$name
	mkdir -p "$corpus" build/log
	if "$fuzzer" -max_total_time="$seconds" -seed="${FUZZ_SEED:-1}" -max_len=4096 -timeout=60 -rss_limit_mb=1024 \
		-print_final_stats=1 -artifact_prefix="build-fuzz/$name-" "$corpus" \
		>"build/log/$name.log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/log/$name.log")
		echo "$name: $runs inputs in $seconds s, $(ls "$corpus" | wc -l) kept"
	else
		echo "$name failed:"
		tail -n 30 "build/log/$name.log" | sed 's/^/     | /'
		failed=$((failed + 1))
	fi
done
exit $((failed > 0))
