#!/bin/sh
# The subcommands as scripts use them: names in JSON, exit codes, the manual page.
cd "$(dirname "$0")/../.." || exit 1
pare=${PARE:-./pare}
model=examples/fashion/model.onnx data=examples/fashion/data.conf
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
XDG_STATE_HOME=$dir/state && export XDG_STATE_HOME
n=0
ok() {
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n - $2" || echo "not ok $n - $2"
}

# has FILE NAME… : every name is a key of the JSON in FILE
has() {
	file=$1
	shift
	for name; do
		grep -q "\"$name\":" "$file" || { echo "# $file lacks $name"; return 1; }
	done
}

$pare info $model --json >"$dir/info" && has "$dir/info" model sha256 opset params macs bytes layers name op \
	weight_shape output_shape group unsupported
ok $? 'info has the names that others build on'

$pare eval $model --data $data --limit 100 --json >"$dir/eval" 2>"$dir/err" && has "$dir/eval" metric value samples \
	interval samples_per_second seconds threads && [ ! -s "$dir/err" ]
ok $? 'eval too, and nothing else is printed in a pipe'

$pare scan $model --data $data --limit 48 --json -o "$dir/map.session" >"$dir/scan" && has "$dir/scan" baseline metric \
	value samples layers name group options option drop kind interval seconds
ok $? 'scan too'

cat >"$dir/r.pare" <<-END
	pare 1
	model $PWD/$model
	data $PWD/$data evaluate 0:48
	set * weights int8 activations int8
	set op=Gemm weights int4
	prune stem weights 30%
	device cortex-m7-cubeai
END
$pare apply "$dir/r.pare" -o "$dir/a.onnx" --json >"$dir/apply" && has "$dir/apply" metric value drop bytes ratio macs \
	estimated promised devices name latency_ms energy_mj ram flash fits kind interval sha256 ok seconds
ok $? 'apply too'

$pare apply "$dir/r.pare" -o "$dir/b.onnx" --threads 1 >/dev/null && cmp -s "$dir/a.onnx" "$dir/b.onnx"
ok $? 'apply writes the same bytes on one thread'

grep -q "$(sha256sum "$dir/a.onnx" | cut -d' ' -f1)" "$dir/apply"
ok $? 'and says their hash'

mkfifo "$dir/pipe" && cat "$dir/pipe" >"$dir/c.onnx" &
sleep 0.2
$pare apply "$dir/r.pare" -o "$dir/pipe" >/dev/null && wait && cmp -s "$dir/a.onnx" "$dir/c.onnx" && [ -p "$dir/pipe" ]
ok $? 'a pipe that is written into stays one'

$pare estimate "$dir/r.pare" --session "$dir/map.session" --json >"$dir/estimate" && has "$dir/estimate" value drop \
	interval kind bytes ratio macs devices && grep -q '"kind": "estimated"' "$dir/estimate"
ok $? 'estimate takes its figure from the map of a session'

$pare device list --json >"$dir/devices" && has "$dir/devices" devices name class device runtime precision threads rows \
	error_model_out error_family_out
ok $? 'device list too'

printf 'expect accuracy 10%% ± 0.1\n' >>"$dir/r.pare"
$pare apply "$dir/r.pare" --check >"$dir/check" 2>&1
[ $? = 1 ] && grep -qi accuracy "$dir/check"
ok $? 'a broken promise exits 1 and says which'

$pare apply examples/fashion/example.pare --check >"$dir/example" 2>&1
ok $? "the example's recipe keeps its promises"

$pare evla >"$dir/out" 2>"$dir/err"
[ $? = 2 ] && [ ! -s "$dir/out" ] && grep -q evla "$dir/err"
ok $? 'a word that is no command exits 2 and is named'

$pare eval $model >/dev/null 2>"$dir/err"
[ $? = 2 ] && grep -q -- --data "$dir/err"
ok $? 'what is missing is named'

$pare man >"$dir/page" && grep -q '^.SS Rounding' "$dir/page" && ! grep -q 'null' "$dir/page"
ok $? 'the manual page has a title over each list'
if command -v groff >/dev/null; then
	$pare man | groff -k -man -ww -Tutf8 2>"$dir/err" >"$dir/page" && [ ! -s "$dir/err" ] && grep -q 'workbench opens' "$dir/page"
	ok $? 'the manual page sets without a warning'
else
	ok 0 'the manual page sets without a warning # SKIP no groff'
fi
$pare man | grep -q "^.SS In recipes alone" && [ "$(COLUMNS=60 $pare apply --help | wc -L)" -le 60 ] &&
	COLUMNS=100 $pare --help | grep -q '^  --device   NAME     a device' && $pare man --help | grep -q '^usage: pare man$'
ok $? 'help stands in columns, as wide as the terminal'

$pare device >"$dir/list" && [ "$(awk 'NR==1 {at = index($0, "runtime")} substr($0, at - 1, 1) != " "' "$dir/list" | wc -l)" = 0 ]
ok $? 'the columns of the devices are straight'
$pare session list | grep -q "last used  *session  *plans  model" || $pare session | grep -q '^no session yet'
ok $? 'session without a word lists'
$pare device predict cortex-m7-cubeai $model >"$dir/predict" && grep -q '^RAM  *[0-9.]* KiB$' "$dir/predict" &&
	grep -q '^fits  *yes$' "$dir/predict" && grep -q '^not faster 14 layers, the first: stem' "$dir/predict"
ok $? 'predict says all that is known'
$pare scan $model --data $data --limit 48 -o "$dir/map.session" >"$dir/scan" && [ "$(wc -L <"$dir/scan")" -le 120 ] &&
	grep -q '^channels that go  *10% ' "$dir/scan" && grep -q '^fc  *-  *-' "$dir/scan"
ok $? 'the map in words is a table for each dial'
echo "1..$n"
