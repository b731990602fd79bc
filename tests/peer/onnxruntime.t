#!/bin/sh
# Holds pare against ONNX Runtime, where there is one.  PYTHON names the interpreter.
py=${PYTHON:-python3}
if ! "$py" -c 'import onnxruntime, numpy' 2>/dev/null; then
	echo '1..0 # SKIP needs python3 with numpy and onnxruntime (PYTHON names the interpreter)'
	exit 0
fi
exec "$py" "$(dirname "$0")/faithful.py"
