#!/bin/bash
# run.sh SECONDS FUZZER... - runs each fuzzer for so long, from the inputs that are
# kept in tests/fuzz/corpus; finds new ones into build-fuzz/corpus, and names what
# it found. FUZZ_SEED draws other inputs. Must run every input that is kept.
set -uo pipefail

seconds=$1
shift
failed=0
for fuzzer in "$@"; do
	name=$(basename "$fuzzer")
	corpus=build-fuzz/corpus/$name
	kept=tests/fuzz/corpus/$name
	mkdir -p "$corpus" build/log
	if "$fuzzer" -max_total_time="$seconds" -seed="${FUZZ_SEED:-1}" -len_control=0 -max_len=4096 -timeout=60 -rss_limit_mb=1024 \
		-print_final_stats=1 -artifact_prefix="build-fuzz/$name-" "$corpus" "$kept" \
		>"build/log/$name.log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/log/$name.log")
		echo "$name: $runs executions, $(ls "$kept" | wc -l) of inputs that are kept; nothing found"
	else
		echo "$name failed:"
		tail -n 30 "build/log/$name.log" | sed 's/^/     | /'
		failed=$((failed + 1))
	fi
done
exit $((failed > 0))
