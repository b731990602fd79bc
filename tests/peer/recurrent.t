#!/bin/sh
# Tables and recurrent layers at few bits, in ONNX Runtime.  PYTHON names the interpreter.
py=${PYTHON:-python3}
if ! "$py" -c 'import onnxruntime, numpy, onnx' 2>/dev/null; then
	echo '1..0 # SKIP needs python3 with numpy, onnx and onnxruntime (PYTHON names the interpreter)'
	exit 0
fi
exec "$py" "$(dirname "$0")/recurrent.py"
