#!/bin/sh
# Speed as a ratio to ONNX Runtime, and peak memory beside its.
#
#   tests/bench/bench.sh [MODEL.onnx…]
#
# Without models: those of $PARE_SHARED or ../shared, of examples/, and networks with random weights
# that networks.py makes.  $PYTHON is the interpreter that has onnxruntime (and onnx, for networks.py),
# $BENCH_EVAL the program that times pare, $BENCH_OUT the JSON file that is written, $BENCH_RUN what
# to run each network's measurement under (taskset -c 2,3; it takes one to two minutes).
set -e
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
tool=${BENCH_EVAL:-build/rel/bench/bench_eval}
out=${BENCH_OUT:-build/bench.json}
made=build/bench/networks
rows=build/bench/rows
peer=tests/bench/peer.py

if ! "$python" -c 'import numpy, onnxruntime' 2>/dev/null; then
	echo "bench: $python has no onnxruntime to compare with. Install it and name the interpreter:" >&2
	echo "    apt-get install -y python3-venv && python3 -m venv ~/ort" >&2
	echo "    ~/ort/bin/pip install onnxruntime onnx numpy && make bench PYTHON=~/ort/bin/python" >&2
	exit 2
fi
mkdir -p $made
: >$rows
stacks=
if [ $# = 0 ]; then
	for m in "${PARE_SHARED:-../shared}"/models/*/model.onnx examples/*/*.onnx; do
		[ -f "$m" ] && set -- "$@" "$m"
	done
	if "$python" -c 'import onnx' 2>/dev/null; then
		"$python" tests/bench/networks.py ./pare $made
		for m in resnet20_odd resnet18_224 mobilenetv2_224 minilm_encoder lstm; do
			set -- "$@" $made/$m/model.onnx
		done
		stacks="$made/stack_3/model.onnx $made/stack_30/model.onnx $made/stack_300/model.onnx"
	else
		echo "bench: $python has no onnx, so networks with random weights are left out" >&2
	fi
fi
echo "model              threads     pare/s      ort/s  batch  ratio (of each round)"
for m in "$@"; do
	$BENCH_RUN "$python" $peer measure "$tool" $rows "$m"
done
"$python" tests/bench/memory.py ./pare $rows "$@"
[ -z "$stacks" ] || $BENCH_RUN "$python" $peer linear "$tool" $rows $stacks
"$python" $peer report $rows "$out"
