#!/bin/sh
# Includes point one way: tui -> sessions -> engine <- plugins, sessions -> plugins; from the engine the
# others take pare.h alone; only one file talks to curses, one to SQLite.
bad=0
complain() { [ -z "$2" ] || { echo "layers: $1:"; echo "$2" | sed 's/^/  /'; bad=1; }; }
inc() { grep -nE "^#[ ]*include[ ]+[\"<]$1" $2 /dev/null; }
complain 'the engine reaches out of itself' "$(inc '[^">]*(plugins|sessions|tui)/' "$(ls engine/*.h engine/*/*.[ch])")"
complain 'curses, readline or SQLite in the engine' "$(inc '(ncurses|curses|readline|sqlite3)' "$(ls engine/*.h engine/*/*.[ch])")"
complain 'only pare.h of the engine may be included here' \
	"$(inc '[^">]*engine/' "$(ls plugins/*.[ch] sessions/*.[ch] tui/*.[ch] tui/*/*.[ch] 2>/dev/null)" | grep -v 'engine/pare\.h"')"
complain 'plugins reach up' "$(inc '[^">]*(sessions|tui)/' "$(ls plugins/*.[ch] 2>/dev/null)")"
complain 'sessions reach up' "$(inc '[^">]*tui/' "$(ls sessions/*.[ch] 2>/dev/null)")"
complain 'only tui/screen/terminal.c talks to curses' \
	"$(inc '(ncurses|curses)' "$(ls sessions/*.[ch] plugins/*.[ch] tui/*.[ch] tui/*/*.[ch] 2>/dev/null)" | grep -v '^tui/screen/terminal\.c')"
complain 'SQLite outside sessions' "$(inc 'sqlite3' "$(ls plugins/*.[ch] tui/*.[ch] tui/*/*.[ch] 2>/dev/null)")"
complain 'operator names outside ops/ and onnx/' \
	"$(grep -nE 'strcmp\([^)]*op(_type|->name)?[^)]*"[A-Z]' engine/base/*.c engine/graph/*.c engine/run/*.c engine/data/*.c engine/quantize/*.c engine/prune/*.c engine/packed/*.c engine/plan/*.c engine/study/*.c 2>/dev/null)"
# Inside the engine: a folder takes from its own row and from those above it.
above=
for row in base data 'graph ops run' quantize 'prune onnx' packed plan study; do
	above="$above $row"
	for folder in $row; do
		complain "engine/$folder takes from what stands on it" \
			"$(inc '\.\./' "$(ls engine/$folder/*.[ch])" | grep -vE "\"\.\./(pare\.h|($(echo $above | tr ' ' '|'))/)")"
	done
done
exit $bad
