#!/bin/sh
# Speed as a ratio to ONNX Runtime.
#
#   tests/bench/bench.sh [MODEL.onnx…]
#
# Without models: those of $PARE_SHARED or ../shared, and of examples/.  $PYTHON is the interpreter that
# has onnxruntime, $BENCH_EVAL the program that times pare, $BENCH_OUT the JSON file that is written.
set -e
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
tool=${BENCH_EVAL:-build/rel/bench/bench_eval}
out=${BENCH_OUT:-build/bench.json}

if ! "$python" -c 'import numpy, onnxruntime' 2>/dev/null; then
	echo "bench: $python has no onnxruntime to compare with. Install it and name the interpreter:" >&2
	echo "    apt-get install -y python3-venv && python3 -m venv ~/ort" >&2
	echo "    ~/ort/bin/pip install onnxruntime numpy && make bench PYTHON=~/ort/bin/python" >&2
	exit 2
fi
if [ $# = 0 ]; then
	for m in "${PARE_SHARED:-../shared}"/models/*/model.onnx examples/*/*.onnx; do
		[ -f "$m" ] && set -- "$@" "$m"
	done
fi
if [ $# = 0 ]; then
	echo "bench: no networks found; name some: tests/bench/bench.sh MODEL.onnx…" >&2
	exit 2
fi
exec "$python" tests/bench/peer.py "$tool" "$out" "$@"
