#include "sessions/words.h"
#include "tests/tap.h"
#include "tests/tiny.h"

static struct pare_model *model;

static const char *error_of(const char *text, unsigned where)
{
	static struct pare_err err;
	struct pare_script s;

	err.text[0] = 0;
	if (!pare_script_parse(
		    text, strlen(text), where == PARE_IN_RECIPE ? "r.pare" : NULL, where, &s, &err))
		pare_script_free(&s);
	return err.text;
}

static void lines_become_statements(void)
{
	static const char text[] =
		"pare 1 # a recipe\n\n"
		"model \"my models/a \\\"b\\\".onnx\"\n"
		"data  d  calibrate :256 evaluate 1000:\r\n"
		"set conv_1, conv_2 weights int4 per-channel activations int8\n"
		"prune * weights 12.5%\n"
		"device a b\n"
		"expect accuracy 86.5% ± 0.4  bytes 24700 +- 3 drop -0.25 ±0.1 cpu avx2\n";
	struct pare_script s;
	struct pare_err err = { 0 };
	const struct pare_statement *x;

	ok_status(pare_script_parse(text, strlen(text), "r", PARE_IN_RECIPE, &s, &err), err,
		"a whole recipe parses");
	x = s.statements;
	ok(s.n == 7 && x[0].kind == PARE_SAY_PARE && x[0].number == 1, "seven statements");
	ok(!strcmp(x[1].text, "my models/a \"b\".onnx"), "quotes come off a path");
	ok(x[2].bounds[PARE_CALIBRATE].from == -1 && x[2].bounds[PARE_CALIBRATE].to == 256 &&
			x[2].bounds[PARE_EVALUATE].from == 1000 &&
			x[2].bounds[PARE_EVALUATE].to == -1,
		"bounds");
	ok(x[3].layers.n == 2 && x[3].change.to.weights == pare_format_find("int4") &&
			x[3].change.to.activations == pare_format_find("int8") &&
			__builtin_popcount(x[3].change.named) == 3,
		"set names three dials of two words of layers");
	ok(x[4].change.to.sparsity == .125f, "a share");
	ok(x[5].n_rest == 2 && !strcmp(x[5].rest[1].text, "b"), "devices");
	ok(x[6].promised[PARE_PROMISE_ACCURACY].value == 86.5 &&
			x[6].promised[PARE_PROMISE_ACCURACY].tolerance == .4 &&
			x[6].promised[PARE_PROMISE_BYTES].tolerance == 3 &&
			x[6].promised[PARE_PROMISE_DROP].value == -.25 &&
			x[6].promised[PARE_PROMISE_DROP].tolerance == .1 &&
			!x[6].promised[PARE_PROMISE_MACS].said && !strcmp(x[6].cpu, "avx2"),
		"promises, with both spellings of ±");
	pare_script_free(&s);
}

static void errors_tell_where_and_what(void)
{
	static const struct {
		unsigned where;
		const char *text, *says;
	} cases[] = {
		{ PARE_IN_RECIPE, "pare 1\nset * wieghts int8",
			"r.pare line 2, column 7: 'wieghts' is not known here; the nearest is "
			"'weights'; known: weights" },
		{ PARE_IN_RECIPE, "tune qat", "'tune' is not known here; " },
		{ PARE_IN_RECIPE, "tune qat", "known: pare, model, data, seed, set, prune" },
		{ PARE_IN_RECIPE, "undo", "'undo' is a command" },
		{ PARE_IN_COMMAND, "model x", "'model' belongs in a recipe" },
		{ PARE_IN_COMMAND, "set * weights int9", "the nearest is 'int" },
		{ PARE_IN_COMMAND, "set *", "column 6: more is needed here: weights, " },
		{ PARE_IN_COMMAND, "set", "more is needed here: LAYERS" },
		{ PARE_IN_COMMAND, "set * weights int8 weights int4",
			"'weights' is not known here" },
		{ PARE_IN_COMMAND, "prune a blocks 30%",
			"'blocks' is not known here; the nearest is 'block'; known: block, "
			"channels, "
			"weights or rank" },
		{ PARE_IN_COMMAND, "prune a rank 100%", "'100%' is no share of the multiply-acc" },
		{ PARE_IN_COMMAND, "prune a rank 50% split up", "known: best, channel or spatial" },
		{ PARE_IN_COMMAND, "prune a channels to macs 0%", "'0%' is no share" },
		{ PARE_IN_COMMAND, "prune a channels to weight 50%",
			"known: macs, bytes or latency" },
		{ PARE_IN_COMMAND, "prune a channels to latency 50%", "more is needed here: on" },
		{ PARE_IN_COMMAND, "prune a channels to latency 5 s on b", "'5' is no share" },
		{ PARE_IN_COMMAND, "prune a channels to macs 50% on b", "'on' is not known here" },
		{ PARE_IN_COMMAND, "prune a channels 50% multiple 0", "'0' is no number" },
		{ PARE_IN_COMMAND, "prune a channels 100%", "'100%' is no share of the channels" },
		{ PARE_IN_COMMAND, "prune a weights 10% repair none", "'repair' is not known" },
		{ PARE_IN_COMMAND, "prune a weights 100%", "'100%' is no share" },
		{ PARE_IN_COMMAND, "prune a weights 60% pattern 2:4",
			"column 17: '60%' does not go with pattern 2:4, which takes 50%" },
		{ PARE_IN_COMMAND, "prune a weights spread 50% pattern 2:4",
			"'50%' does not go with pattern 2:4, which takes the same from every" },
		{ PARE_IN_COMMAND, "prune a weights 60% pattern 3x1", "is not known here" },
		{ PARE_IN_COMMAND, "prune a weights 30", "'30' is no share" },
		{ PARE_IN_COMMAND, "prune a weights nan%", "is no share" },
		{ PARE_IN_COMMAND, "prune a weights -1%", "is no share" },
		{ PARE_IN_COMMAND, "undo twice", "column 6: 'twice' is too much here" },
		{ PARE_IN_COMMAND, "write \"a", "column 7: the quote that begins here" },
		{ PARE_IN_COMMAND, "écrire x", "column 1: 'écrire' is not known" },
		{ PARE_IN_COMMAND, "note é x\ty \"z", "column 12: the quote" },
		{ PARE_IN_RECIPE, "pare 2", "'2' is a version" },
		{ PARE_IN_RECIPE, "data d evaluate 5:3", "'5:3' is no range" },
		{ PARE_IN_RECIPE, "data d evaluate 99999999999999999999:", "is no range" },
		{ PARE_IN_RECIPE, "model m sha256:12", "is no SHA-256" },
		{ PARE_IN_RECIPE, "expect bytes many", "'many' is no figure for 'bytes'" },
		{ PARE_IN_RECIPE, "expect bytes 5 ± x", "'x' is no tolerance" },
		{ PARE_IN_RECIPE, "seed -5", "'-5' is no whole number" },
		{ PARE_IN_COMMAND, "\x1b[2J", "'?[2J' is not known" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!ok(strstr(error_of(cases[i].text, cases[i].where), cases[i].says), "error %zu",
			    i))
			printf("#   got: %s\n", error_of(cases[i].text, cases[i].where));
}

static void commands_may_be_cut_short(void)
{
	struct pare_script s;
	struct pare_err err = { 0 };

	ok_status(pare_script_parse("q", 1, NULL, PARE_IN_COMMAND, &s, &err), err, "q parses");
	ok(s.n == 1 && s.statements[0].kind == PARE_SAY_QUIT, "as quit");
	pare_script_free(&s);
	ok(strstr(error_of("s", PARE_IN_COMMAND), "'s' is not known"), "s could be seed or set");
	ok(*error_of("q", PARE_IN_RECIPE), "a recipe says words in full");
}

/* The layers that a selection names, as a string of 0 and 1; its error when there is one. */
static const char *picked(const char *layers)
{
	static char bits[TINY_LAYERS + 1];
	static struct pare_err err;
	bool is[TINY_LAYERS] = { 0 };
	char line[5000];
	struct pare_script s;
	int n = 0, count = 0;

	snprintf(line, sizeof line, "prune %s weights 5%%", layers);
	if (pare_script_parse(line, strlen(line), NULL, PARE_IN_COMMAND, &s, &err))
		return err.text;
	if (pare_layers_pick(&s.statements[0].layers, model, NULL, is, &n, &err)) {
		pare_script_free(&s);
		return err.text;
	}
	pare_script_free(&s);
	for (int i = 0; i < TINY_LAYERS; i++) {
		bits[i] = is[i] ? '1' : '0';
		count += is[i];
	}
	return n >= count ? bits : "too few counted";
}

static void selections_pick_layers(void)
{
	static const struct {
		const char *layers, *is;
	} cases[] = {
		{ "*", "111111111111" },
		{ "conv_1", "010000000000" },
		{ "1", "100000000000" },
		{ "conv_?", "111111110000" },
		{ "c*_7", "000000010000" },
		{ "op=Conv", "111111110000" },
		{ "op=G*", "000000001111" },
		{ "first,last", "100000000001" },
		{ "first, last, 3", "101000000001" },
		{ "\"odd,\\\"8\\\"\"", "000000001000" },
		{ "\"a*b\",conv_0", "100000000100" },
		{ "dense/*", "000000000011" },
		{ "dense", "000000000011" }, /* a part of a path */
		{ "11", "000000000010" },
		{ "1?", "000000000011" },
		{ "\"dense\"", "there is no layer 'dense'" },
		{ "conv_9", "column 7: there is no layer 'conv_9'; the nearest name is 'conv_" },
		{ "\"conv_*\"", "there is no layer 'conv_*'" },
		{ "0", "there is no layer 0; they count from 1 to 12" },
		{ "99999999999999999999", "they count from 1" },
		{ "op=LSTM", "there is no layer 'op=LSTM'" },
		{ "\"\"", "no layer is named here" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!ok(strstr(picked(cases[i].layers), cases[i].is), "%s", cases[i].layers))
			printf("#   got: %s\n", picked(cases[i].layers));
}

static void patterns_take_little_time(void)
{
	char text[4096];
	size_t n = 0;

	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "*a");
	ok(strstr(picked(text), "there is no layer"), "a pattern of a thousand stars ends");
}

/* "start:candidate candidate …" */
static const char *completed(const char *line)
{
	static char buf[2000];
	static const char *const devices[] = { "cortex-m7", "host", NULL };
	struct pare_words w = { 0 };
	size_t start;
	int n;

	pare_language_complete(line, strlen(line), model, devices, &w, &start);
	n = snprintf(buf, sizeof buf, "%zu:", start);
	for (int i = 0; i < w.n && n < (int)sizeof buf; i++)
		n += snprintf(buf + n, sizeof buf - (size_t)n, "%s%s", i ? " " : "", w.text[i]);
	pare_words_free(&w);
	return buf;
}

static void words_are_completed(void)
{
	static const char *const cases[][2] = {
		{ "pr", "0:prune" },
		{ "set", "0:set" },
		{ "set conv_7", "4:conv_7" },
		{ "set conv_0,conv_7", "11:conv_7" },
		{ "set conv_0,f", "11:first" },
		{ "set op=", "4:op=Conv op=Gemm" },
		{ "set a", "4:\"a*b\"" },
		{ "set 11", "4:dense/11" }, /* a part of a path */
		{ "set * w", "6:weights" },
		{ "set * weights int8 act", "19:activations" },
		{ "set * weights int8 weig", "19:" },
		{ "set * activations ", "18:float32 int8 int6 int4 int16 uint8" },
		{ "set * bogus in", "14:" },
		{ "prune * weights 50% pattern 4", "28:4:8 4x1" },
		{ "prune * weights 50% by o", "23:obs" },
		{ "device h", "7:host" },
		{ "device host c", "12:cortex-m7" },
		{ "map ", "4:resume pause" },
		{ "undo ", "5:" },
		{ "export x f", "9:format" },
		{ "export x format ", "16:onnx packed" },
		{ "", "0:seed set prune exit step device undo redo go write export measure stop "
		      "map "
		      "view "
		      "note "
		      "help "
		      "quit" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!ok(!strcmp(completed(cases[i][0]), cases[i][1]), "complete '%s'", cases[i][0]))
			printf("#   got: %s\n", completed(cases[i][0]));
	ok(!strncmp(completed("set "), "4:* first last op=Conv op=Gemm ", 31),
		"words for many layers before hundreds of names");
	ok(strstr(completed("set * weights i"), "int8") &&
			strstr(completed("set * weights "), "float16"),
		"formats come from the engine's rows");
}

static void files_are_completed(void)
{
	char line[700], want[700];

	mkdir(tiny_path("some"), 0777);
	tiny_file(tiny_path("some file"), "x", 1, NULL, 0);
	snprintf(line, sizeof line, "write %s", tiny_path("some"));
	snprintf(want, sizeof want, "6:\"%s/some file\" %s/some/", tiny_folder, tiny_folder);
	ok(!strcmp(completed(line), want), "files and folders: %s", completed(line));
}

static void distances_count_slips(void)
{
	ok(pare_word_distance("weights", "wieghts") == 1, "a swap is one slip");
	ok(pare_word_distance("", "abc") == 3 && pare_word_distance("Abc", "abc") == 0,
		"letters missing; case does not count");
}

int main(void)
{
	struct pare_err err = { 0 };

	if (!tiny_home() || !tiny_model(tiny_path("m.onnx"), 1))
		return 1;
	ok_status(pare_model_open(tiny_path("m.onnx"), &model, &err), err, "the model opens");
	if (!model)
		return tap_done();
	lines_become_statements();
	errors_tell_where_and_what();
	commands_may_be_cut_short();
	selections_pick_layers();
	patterns_take_little_time();
	words_are_completed();
	files_are_completed();
	distances_count_slips();
	pare_model_free(model);
	return tap_done();
}
