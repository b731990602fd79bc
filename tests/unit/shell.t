#!/bin/sh
# pare shell: a script from a pipe, its mistakes, and its answers as JSON.
cd "$(dirname "$0")/../.." || exit 1
pare=${PARE:-$PWD/pare}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
HOME=$dir XDG_STATE_HOME=$dir/state
export HOME XDG_STATE_HOME
n=0
bad=0
ok() { # ok STATUS TEXT
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else
		echo "not ok $n - $2"
		sed 's/^/# /' "$dir/out" "$dir/err"
		bad=1
	fi
}
shell() { $pare shell "$@" examples/fashion/model.onnx --session "$dir/s" >"$dir/out" 2>"$dir/err"; }

printf '# a comment\n\nset * weights int8\nundo\nprune fc weights 50%%\nwrite %s/r.pare\n' "$dir" | shell
ok $? "a script runs"
grep -q '^14 of 14 layers changed$' "$dir/out" && grep -q '^undone: set \* weights int8$' "$dir/out"
ok $? "and each line is answered"
grep -q '^prune  *fc  *weights 50%' "$dir/r.pare"
ok $? "what it did is in the recipe"

printf 'set nolayer weights int8\nset * weights int4\n' | shell
[ $? = 2 ] && grep -q "^pare: line 1: .*no layer 'nolayer'" "$dir/err" && [ ! -s "$dir/out" ]
ok $? "a mistake ends it, with its line"

printf 'quit\nset nolayer weights int8\n' | shell
ok $? "quit ends it at once"

printf 'help\n' | shell
grep -q '^  set  *LAYERS' "$dir/out"
ok $? "help lists the commands"
[ "$(LC_ALL=C.UTF-8 wc -L <"$dir/out")" -le 80 ]
ok $? "in lines that a terminal has room for"

printf 'set * weights int8\nbogus\n' | shell --json
[ $? = 2 ] && grep -q '"ok": false' "$dir/out" && grep -q '"error": ".*bogus' "$dir/out" &&
	grep -q '"command": "set \* weights int8"' "$dir/out"
ok $? "as JSON too"
echo "1..$n"
exit $bad
