#!/bin/sh
# The workbench on a real terminal (tmux): keys, screens, and what is left behind when it ends.
cd "$(dirname "$0")/../.." || exit 1
pare=${PARE:-$PWD/pare}
n=0
bad=0
ok() { # ok STATUS TEXT
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else
		echo "not ok $n - $2"
		bad=1
		screen | sed 's/^/# /'
	fi
}
command -v tmux >/dev/null || { echo "1..0 # SKIP tmux is not installed"; exit 0; }

home=$(mktemp -d)
t="tmux -u -L pare-test-$$ -f /dev/null"
trap '$t kill-server 2>/dev/null; rm -rf "$home"' EXIT
screen() { $t capture-pane -p -t 0; }
keys() { $t send-keys -t 0 "$@"; }
# until PATTERN [SECONDS]: wait for it on the screen
until_shown() {
	i=$((${2:-20} * 10))
	while [ $i -gt 0 ]; do
		screen | grep -qE -- "$1" && return 0
		sleep 0.1
		i=$((i - 1))
	done
	return 1
}
pane() { $t display-message -p -t 0 "$1"; }
pid_of_pare() { cat "$home/pid"; }

# given_back: the ordinary screen, no mouse, a cursor
given_back() {
	i=100
	while [ $i -gt 0 ]; do
		[ "$(pane '#{alternate_on} #{mouse_any_flag} #{cursor_flag}')" = '0 0 1' ] && return 0
		sleep 0.1
		i=$((i - 1))
	done
	return 1
}

env -u NO_COLOR -u TMUX LC_ALL=C.UTF-8 HOME="$home" XDG_STATE_HOME="$home/state" \
	$t new-session -d -x 80 -y 24 "sh -i"
until_shown '[#$]'
# exec inside a subshell: $$ is pare's own process
run() { keys "clear; sh -c 'echo \$\$ > $home/pid; exec $pare $1'" Enter; }

run "--session $home/s.pare"
until_shown 'pare +model.onnx' 10
ok $? "the example opens"
until_shown '▸.? ?stem'
ok $? "with the cursor on the first layer"
until_shown 'accuracy 9[0-9]\.[0-9] %' 60
ok $? "the float accuracy is measured"
keys j j Right
until_shown 'block1_conv2 +.*\[▪\]'
ok $? "keys move and turn a dial"
until_shown ':set block1_conv2 weights float16'
ok $? "which is short for a command"
keys Right Right
until_shown ':set block1_conv2 weights int6'
ok $? "and again"
until_shown '(est|meas)\.' 30
ok $? "the figure says what kind it is"
keys u
until_shown 'undone: set block1_conv2 weights int6'
ok $? "u undoes"
keys C-r
until_shown 'done again'
ok $? "Ctrl-R does it again"
keys : 'set * weights int8' Enter
until_shown 'layers changed'
ok $? "a command is typed"
keys : 'set nolayer weights int8' Enter
until_shown "no layer 'nolayer'"
ok $? "a mistake is one line"
keys -l "$(printf '\033[<0;40;6M\033[<0;40;6m\033[25~\033[1;5q\033OP')" && keys H
until_shown 'plans tried'
ok $? "sequences that no key sends are not taken for keys"
keys q
keys / 'block5' Enter
until_shown '/block5: 3 of 14 layers'
ok $? "/ filters"
keys Escape '?'
until_shown 'turn the dial under the cursor'
ok $? "? shows the keys"
keys q
$t resize-window -t 0 -x 120 -y 40
until_shown 'estimated|measured'
ok $? "120x40 has room for whole words"
$t resize-window -t 0 -x 40 -y 10
until_shown 'pare needs 60×16'
ok $? "a window that is too small is told"
$t resize-window -t 0 -x 80 -y 24
until_shown 'weights, bits'
ok $? "and comes back"
keys C-z
given_back
ok $? "Ctrl-Z gives the terminal back"
keys clear Enter fg Enter
until_shown 'weights, bits'
ok $? "fg takes it again"

keys g j j j Tab
sleep 1.5
kill -9 "$(pid_of_pare)"
$t respawn-pane -k -t 0 "sh -i"
until_shown '^[#$]'
run "--resume $home/s.pare"
until_shown '▸.? ?block2_conv1' 10
ok $? "after kill -9 --resume has the cursor where it was"
until_shown 'plan [0-9]+ of [0-9]+'
screen | grep -q 'plan 5 of 5'
ok $? "and the plan of the last edit"
keys q
given_back
ok $? "q leaves the terminal as it was"

run "--session $home/s.pare"
until_shown 'weights, bits'
kill -SEGV "$(pid_of_pare)"
given_back
ok $? "a crash too"
keys clear Enter 'stty -a | grep -o -E -e "-?(icanon|echo) "' Enter
until_shown '(^|[^-])icanon' && until_shown '(^|[^-])echo *$'
ok $? "and it echoes what is typed"

keys clear Enter
run "--session $home/s.pare"
until_shown 'weights, bits'
keys : 'set * weights int4 round adaround' Enter : "export $home/o.onnx" Enter
until_shown 'writing, [0-9]+ of 14  Esc stops'
ok $? "a file is written behind the screen"
keys q
until_shown 'not written yet' && keys Escape && until_shown 'stopped, nothing is written' && [ ! -e "$home/o.onnx" ]
ok $? "leaving would lose it, and Esc stops it"
keys : 'map pause' Enter : 'set * weights int8 round nearest' Enter : "export $home/o.onnx" Enter
until_shown 'o.onnx written: [0-9]+ bytes' && [ -s "$home/o.onnx" ]
ok $? "and what is done is told"
kill -TERM "$(pid_of_pare)"
given_back
ok $? "a request to end is followed"

$pare </dev/null >"$home/out" 2>&1
[ $? = 2 ] && grep -q 'pare scan MODEL' "$home/out"
ok $? "without a terminal it says what to run instead"
run "tests/fuzz/onnx/typed.onnx --session $home/typed.s"
until_shown '^ no (figures|map): '
ok $? "what cannot be done in the background is told of in the last line"
keys q
given_back

keys "clear; TERM=dumb $pare --session $home/s.pare" Enter
until_shown "cannot move its"
ok $? "a terminal that cannot move its cursor is told of"

echo "1..$n"
exit $bad
