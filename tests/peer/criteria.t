#!/bin/sh
# Criteria of channels against numpy.  PYTHON names the interpreter.
py=${PYTHON:-python3}
if ! "$py" -c 'import onnx, numpy' 2>/dev/null; then
	echo '1..0 # SKIP needs python3 with numpy and onnx (PYTHON names the interpreter)'
	exit 0
fi
exec "$py" "$(dirname "$0")/criteria.py"
