#!/bin/sh
# Attention and recurrent networks without heads and units, in ONNX Runtime.  PYTHON names the interpreter; FOLDER, that
# of packages.py, asks for the packages' networks too.
py=${PYTHON:-python3}
here=$(dirname "$0")
masks=$here/../../build/rel/tests/test_masks
if ! "$py" -c 'import onnx, onnxruntime' 2>/dev/null; then
	echo '1..0 # SKIP needs python3 with onnx and onnxruntime (PYTHON names the interpreter)'
	exit 0
fi
if [ ! -x "$masks" ]; then
	echo '1..0 # SKIP needs build/rel/tests/test_masks (make build/rel/tests/test_masks)'
	exit 0
fi
exec "$py" "$here/pruned.py" "$masks" $FOLDER
