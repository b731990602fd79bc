#include "sessions/replay.h"
#include "sessions/store.h"
#include "sessions/workspace.h"
#include "tests/tap.h"
#include "tests/tiny.h"
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static struct pare_err err;
static struct pare_reply reply;

static struct pare_workspace *opened(struct pare_workspace_spec spec)
{
	static const char *const none[] = { NULL };
	struct pare_workspace *w = NULL;

	if (!spec.devices)
		spec.devices = none;
	if (!spec.model && !spec.resume)
		spec.model = tiny_path("m.onnx");
	err.text[0] = 0;
	if (pare_workspace_open(&spec, &w, &err))
		printf("# %s\n", err.text);
	return w;
}

static int say(struct pare_workspace *w, const char *line)
{
	err.text[0] = reply.text[0] = 0;
	return pare_workspace_command(w, line, &reply, &err) == PARE_OK;
}

/* Pump until `done` of the workspace holds, for at most a minute. */
static int pump_until(struct pare_workspace *w, int (*done)(struct pare_workspace *w))
{
	time_t end = time(NULL) + 60;

	while (!done(w) && time(NULL) < end) {
		struct pollfd p = { .fd = pare_workspace_fd(w), .events = POLLIN };

		poll(&p, 1, 1000);
		pare_workspace_pump(w);
	}
	return done(w);
}

static int map_is_complete(struct pare_workspace *w)
{
	struct pare_work k = pare_workspace_work_state(w);

	return k.done == k.total && k.total > 0;
}

static int plan_is_measured(struct pare_workspace *w)
{
	return pare_workspace_metrics(w)->accuracy.kind == PARE_MEASURED;
}

static int log_has(struct pare_workspace *w, const char *text)
{
	int n = 0;

	for (int i = 0; pare_workspace_log(w, i); i++)
		n += strstr(pare_workspace_log(w, i), text) != NULL;
	return n;
}

static void edits_make_a_tree(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){ .memory = true });
	int64_t bytes;

	if (!ok(w != NULL, "a model opens without data"))
		return;
	bytes = pare_workspace_metrics(w)->cost.bytes;
	ok(pare_workspace_saved(w, NULL) == PARE_SAVED_MEMORY && !*pare_workspace_session_path(w),
		"in memory");
	ok(say(w, "set * weights int8") && !strcmp(reply.text, "12 of 12 layers changed"), "%s",
		reply.text);
	ok(pare_workspace_metrics(w)->cost.bytes < bytes, "bytes fall at once");
	ok(say(w, "set * weights int8") && strstr(reply.text, "already"), "%s", reply.text);
	ok(pare_workspace_n_plans(w) == 2, "which makes no plan");
	ok(say(w, "prune conv_1 weights 50%") && say(w, "undo") &&
			strstr(reply.text, "prune conv_1 weights 50%"),
		"undo tells what: %s", reply.text);
	ok(pare_workspace_here(w) == 1 && say(w, "redo") && pare_workspace_here(w) == 2, "redo");
	ok(say(w, "go 1") && pare_workspace_here(w) == 0 && say(w, "go 3") &&
			pare_workspace_here(w) == 2 && !say(w, "go 99") && !say(w, "go 0"),
		"go to any plan");
	ok(say(w, "undo") && say(w, "set conv_2 weights int4") && pare_workspace_here(w) == 3 &&
			pare_workspace_plan_node(w, 3)->parent == 1,
		"another edit is another branch");
	ok(say(w, "undo") && say(w, "redo") && pare_workspace_here(w) == 3,
		"redo goes where one was last");
	ok(say(w, "undo") && say(w, "prune conv_1 weights 50%") && pare_workspace_here(w) == 2 &&
			pare_workspace_n_plans(w) == 4,
		"the same edit again is the same plan");
	ok(say(w, "undo") && say(w, "undo") && say(w, "undo") &&
			strstr(reply.text, "nothing to undo"),
		"%s", reply.text);
	ok(pare_workspace_metrics(w)->cost.bytes == bytes, "back at float");
	ok(!say(w, "set conv_99 weights int8") && strstr(err.text, "there is no layer"), "%s",
		err.text);
	ok(!say(w, "tune qat") && strstr(err.text, "'tune' is not known here"), "%s", err.text);
	ok(!say(w, "measure") && strstr(err.text, "--data"), "%s", err.text);
	ok(!say(w, "device nosuch") && strstr(err.text, "no device 'nosuch'"), "%s", err.text);
	ok(say(w, "note good  enough") &&
			!strcmp(pare_workspace_plan_node(w, 0)->note, "good enough"),
		"a note");
	ok(say(w, "q") && reply.effect == PARE_EFFECT_QUIT, "quit is the screen's to do");
	ok(say(w, "view devices") && reply.effect == PARE_EFFECT_VIEW &&
			!strcmp(reply.text, "devices"),
		"so is a view");
	ok(say(w, "") && say(w, "   # nothing"), "nothing to say is no error");
	ok(!pare_workspace_keep(w, "cursor", "3", &err) &&
			!strcmp(pare_workspace_kept(w, "cursor"), "3") &&
			!pare_workspace_kept(w, "sort"),
		"small things are kept");
	ok(log_has(w, "set * weights int8: 12 of 12"), "the log has the commands");
	pare_workspace_close(w);
}

static void without_data_activations_cannot_go(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){ .memory = true });
	char line[600];

	snprintf(line, sizeof line, "export %s", tiny_path("no.onnx"));
	ok(say(w, "set * activations int8") && !say(w, line) && strstr(err.text, "--data"), "%s",
		err.text);
	ok(access(tiny_path("no.onnx"), F_OK) != 0, "nothing is written");
	snprintf(line, sizeof line, "export %s", tiny_path("m.onnx"));
	ok(say(w, "undo") && !say(w, line) && strstr(err.text, "has open"), "%s", err.text);
	snprintf(line, sizeof line, "write %s", tiny_path("data/x.npy"));
	ok(!say(w, line) && strstr(err.text, "is no recipe"), "%s", err.text);
	snprintf(line, sizeof line, "export %s", tiny_path("data/x.npy"));
	ok(!say(w, line) && strstr(err.text, "was not written by pare"), "%s", err.text);
	snprintf(line, sizeof line, "export %s", tiny_path("twice.onnx"));
	ok(say(w, line) && say(w, line), "its own files it writes over");
	snprintf(line, sizeof line, "write %s", tiny_path("float.pare"));
	ok(say(w, line) && strstr(reply.text, "promises no accuracy"), "%s", reply.text);
	pare_workspace_close(w);
}

/* A device that cuts off sums of bytes brings the step against it along, which can be left out. */
static void a_device_brings_its_step(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){ .memory = true });

	ok(say(w, "device x86-avx2-onnxruntime vitis-ai-dpu") &&
			say(w, "set * weights int8 activations uint8") &&
			pare_workspace_plan(w)->steps == pare_step_narrow(),
		"%s", reply.text);
	ok(strstr(reply.text, "vitis-ai-dpu takes activations int8, not uint8") &&
			strstr(reply.text, "avoid-saturation, for x86-avx2-onnxruntime cuts off"),
		"and what a device does not take is told");
	ok(say(w, "step none") && say(w, "set 1 activations int8") &&
			!pare_workspace_plan(w)->steps,
		"once left out it stays out");
	pare_workspace_close(w);
}

static void the_map_fills_in_behind(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){
		.memory = true, .data = tiny_path("data"), .limit = 100 });
	struct pare_work k;
	int order[] = { 11, 3 }, cells = 0;

	if (!ok(w != NULL, "a model opens with data"))
		return;
	pare_workspace_order(w, order, 2);
	ok(say(w, "set * weights int4 activations int8"), "an edit while the worker begins");
	ok(pump_until(w, plan_is_measured), "the plan on screen is measured");
	ok(pare_workspace_measured_ago(w) < 60, "a moment ago");
	ok(pare_workspace_plan_node(w, 1)->value == pare_workspace_metrics(w)->accuracy.value,
		"the tree knows it");
	ok(pump_until(w, map_is_complete), "the map completes");
	k = pare_workspace_work_state(w);
	/* but for the first of each dial, and what takes nothing from a layer */
	for (int i = 0; i < TINY_LAYERS; i++)
		for (int o = 1; o < pare_n_options(); o++)
			cells += pare_options[o].dial == pare_options[o - 1].dial &&
				 pare_option_fits(pare_workspace_model(w), i, &pare_options[o]);
	ok(k.total == cells && k.done == cells && k.eta == 0, "all cells, nothing left");
	ok(say(w, "set conv_3 weights int2") &&
			pare_workspace_metrics(w)->accuracy.kind == PARE_ESTIMATED,
		"an edit is estimated at once");
	ok(pump_until(w, plan_is_measured), "and then measured");
	ok(say(w, "undo") && plan_is_measured(w), "what was measured stays measured");
	ok(say(w, "measure") && strstr(reply.text, "measured: "), "%s", reply.text);
	ok(say(w, "map pause") && say(w, "set conv_4 weights int2"), "at rest");
	usleep(20000);
	pare_workspace_pump(w);
	ok(!plan_is_measured(w) && say(w, "measure") && !strcmp(reply.text, "measuring") &&
			pump_until(w, plan_is_measured),
		"a plan is measured only when asked for");
	pare_workspace_close(w);
}

static void pausing_stops_and_measuring_goes_on(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){
		.memory = true, .data = tiny_path("data"), .limit = 100, .idle = true });
	struct pare_ctl ctl = { 0 };

	usleep(20000);
	ok(!pare_workspace_pump(w) && pare_workspace_work_state(w).paused &&
			!pare_study_calibration(pare_workspace_study(w)),
		"an idle workspace starts nothing");
	ok(say(w, "set * weights int4") && say(w, "measure") && plan_is_measured(w) &&
			strstr(reply.text, "measured: "),
		"but measures when asked to: %s", reply.text);
	ok(!pare_study_n_done(pare_workspace_study(w)),
		"and no cell: what nobody measures is none");
	atomic_store(&ctl.cancel, true);
	ok(pare_workspace_scan(w, &ctl, &err) == PARE_E_CANCELED && !map_is_complete(w),
		"a scan may be canceled");
	atomic_store(&ctl.cancel, false);
	ok_status(pare_workspace_scan(w, &ctl, &err), err, "and asked for again");
	ok(map_is_complete(w), "then the map is complete");
	pare_workspace_close(w);
}

static int has_text(const char *path, const char *what)
{
	char *text = NULL;
	size_t len;
	int has = !pare_text_read(path, 1 << 20, &text, &len, NULL) && strstr(text, what) != NULL;

	free(text);
	return has;
}

static int nothing_is_asked(struct pare_workspace *w)
{
	return !pare_workspace_work_state(w).asked;
}

static int nothing_is_filed(struct pare_workspace *w)
{
	return !pare_workspace_work_state(w).filing;
}

/* So does carrying a plan out for a file. */
static void a_file_is_written_behind_the_screen(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){
		.memory = true, .data = tiny_path("data"), .limit = 100 });
	char line[600], other[600];
	const char *at = tiny_path("behind.pare");

	snprintf(line, sizeof line, "write %s", at);
	snprintf(other, sizeof other, "export %s", tiny_path("never.onnx"));
	ok(say(w, "set * weights int4 round descent") && say(w, line) &&
			strstr(reply.text, "once the plan") && !nothing_is_filed(w),
		"it waits: %s", reply.text);
	ok(!say(w, other) && strstr(err.text, "'stop' ends it"), "one at a time: %s", err.text);
	ok(!say(w, "quit") && strstr(err.text, "not done yet"), "leaving would lose it: %s",
		err.text);
	ok(say(w, "set conv_3 weights int8"), "an edit meanwhile");
	ok(pump_until(w, nothing_is_filed) && log_has(w, "behind.pare written") &&
			has_text(at, "set    *") && !has_text(at, "conv_3") &&
			pare_workspace_here(w) == 2,
		"the plan that it was asked of is written, and one stays where one is");
	ok(say(w, other) && say(w, "stop") && strstr(reply.text, "nothing is written") &&
			pump_until(w, nothing_is_filed) && access(tiny_path("never.onnx"), F_OK),
		"it can be stopped");
	ok(say(w, "map pause") && say(w, other) && pump_until(w, nothing_is_filed) &&
			!access(tiny_path("never.onnx"), F_OK),
		"and goes on while the map rests");
	pare_workspace_close(w);
}

/* A budget takes long: the person goes on meanwhile. */
static void a_budget_is_spread_behind_the_screen(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){
		.memory = true, .data = tiny_path("data"), .limit = 100 });
	const struct pare_plan_node *got;

	ok(say(w, "prune * channels to bytes 80%") && strstr(reply.text, "Esc stops") &&
			pare_workspace_n_plans(w) == 1 && !nothing_is_asked(w),
		"it is begun: %s", reply.text);
	ok(!say(w, "prune * channels to macs 50%") && strstr(err.text, "'stop' ends"),
		"one at a time: %s", err.text);
	ok(say(w, "set conv_3 weights int4"), "an edit meanwhile");
	ok(pump_until(w, nothing_is_asked) && pare_workspace_n_plans(w) == 3 &&
			log_has(w, "'go 3' takes them: prune * channels to bytes 80%"),
		"the plan is there, and the log says where");
	got = pare_workspace_plan_node(w, 2);
	ok(got->parent == 0 && pare_workspace_here(w) == 1 && strstr(got->command, "to bytes 80%"),
		"below the one that it was asked for; one stays where one is");
	ok(say(w, "prune * channels to macs 70%") && say(w, "stop") &&
			!strcmp(reply.text, "stopped") && pump_until(w, nothing_is_asked) &&
			pare_workspace_n_plans(w) == 3,
		"it can be stopped");
	ok(say(w, "stop") && strstr(reply.text, "nothing"), "%s", reply.text);
	ok(say(w, "prune * channels to macs 0.1%") && pump_until(w, nothing_is_asked) &&
			log_has(w, "cannot bring"),
		"what cannot be is in the log");
	pare_workspace_close(w);
}

/* Devices count latency, and say of how many channels multiples shall stay. */
static void devices_have_their_say(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){
		.memory = true, .data = tiny_path("data"), .limit = 100, .idle = true });
	const struct pare_device_row *d;

	ok(say(w, "device raspberry-pi-4-ncnn") &&
			say(w, "prune * channels to latency 1.367 ms on raspberry-pi-4-ncnn"),
		"a budget of latency: %s%s", reply.text, err.text);
	d = pare_workspace_device(w, 0);
	ok(d->now.latency_ms.value <= 1.367 && d->now.latency_ms.value > 1.36,
		"%.3f ms of %.3f ms are left", d->now.latency_ms.value, d->was.latency_ms.value);
	ok(!say(w, "prune * channels to latency 50% on host") && strstr(err.text, "tells no"), "%s",
		err.text);
	ok(!say(w, "prune * channels to latency 50% on nix") && strstr(err.text, "'nix'"), "%s",
		err.text);
	ok(say(w, "device snapdragon-8-gen-3") && say(w, "prune * channels 30%") &&
			strstr(reply.text, "multiples of 32"),
		"%s", reply.text);
	ok(say(w, "prune * channels 30%") && strstr(reply.text, "nothing changes: multiples"), "%s",
		reply.text);
	ok(say(w, "prune * channels 40% multiple 1") && !strstr(reply.text, "multiples"),
		"the line has the last word: %s", reply.text);
	pare_workspace_close(w);
}

static int n_work(struct pare_workspace *w)
{
	int n = 0;

	for (int i = 0; pare_workspace_log(w, i); i++)
		n++;
	return n;
}

static void a_session_comes_back(void)
{
	struct pare_workspace_spec spec = { .model = tiny_path("m.onnx"),
		.data = tiny_path("data"),
		.limit = 100,
		.session = tiny_path("s/back.session") };
	struct pare_workspace *w = opened(spec), *second = NULL;
	struct pare_value v, cell;
	int logged;

	if (!ok(w != NULL, "a session begins"))
		return;
	ok(pump_until(w, map_is_complete), "the map completes");
	ok(say(w, "set * weights int3") && say(w, "prune 2 weights 70%") && say(w, "seed 5") &&
			say(w, "note half way") && pump_until(w, plan_is_measured),
		"edits");
	ok(say(w, "set first weights float16") && say(w, "undo"), "a branch left by undo");
	ok(!pare_workspace_keep(w, "cursor", "conv_3", &err), "a cursor");
	ok(pare_workspace_saved(w, NULL) == PARE_SAVED, "all of it is saved");
	ok(pare_workspace_open(&spec, &second, &err) == PARE_E_BUSY && strstr(err.text, "process"),
		"a second one is told: %s", err.text);
	v = pare_workspace_metrics(w)->accuracy;
	cell = pare_study_cell(pare_workspace_study(w), 3, pare_n_options() - 2);
	logged = n_work(w);
	pare_workspace_close(w);

	w = opened((struct pare_workspace_spec){
		.session = tiny_path("s/back.session"), .resume = true, .idle = true });
	if (!ok(w != NULL, "and is resumed"))
		return;
	ok(pare_workspace_n_plans(w) == 4 && pare_workspace_here(w) == 2 &&
			!strcmp(pare_workspace_plan_node(w, 2)->command, "prune 2 weights 70%") &&
			!strcmp(pare_workspace_plan_node(w, 2)->note, "half way"),
		"the tree and the place in it");
	ok(plan_is_measured(w) && pare_workspace_metrics(w)->accuracy.value == v.value &&
			map_is_complete(w),
		"all that was measured, without work");
	ok(pare_study_cell(pare_workspace_study(w), 3, pare_n_options() - 2).value == cell.value,
		"cell by cell");
	ok(!strcmp(pare_workspace_kept(w, "cursor"), "conv_3") && n_work(w) >= logged,
		"the cursor and the log");
	ok(say(w, "redo") && pare_workspace_here(w) == 3, "redo goes on where undo left");
	pare_workspace_close(w);

	w = opened(spec);
	ok(w && pare_workspace_here(w) == 3, "opened anew a person is at the last edit");
	pare_workspace_close(w);
	spec.idle = true;
	w = opened(spec);
	ok(w && pare_workspace_n_plans(w) == 4 && pare_workspace_here(w) == 0 && map_is_complete(w),
		"a script starts from float, with the map");
	pare_workspace_close(w);
	spec.model = tiny_path("other.onnx");
	tiny_model(spec.model, 2);
	ok(!opened(spec) && err.code == PARE_E_MISMATCH, "another model's session: %s", err.text);
	spec.model = tiny_path("moved.onnx");
	spec.session = tiny_path("s/moved.session");
	tiny_model(spec.model, 1);
	pare_workspace_close(opened(spec));
	tiny_model(spec.model, 3);
	ok(!opened((struct pare_workspace_spec){
		   .session = tiny_path("s/moved.session"), .resume = true }) &&
			err.code == PARE_E_MISMATCH && strstr(err.text, "has changed"),
		"a model that changed meanwhile: %s", err.text);
	unlink(tiny_path("moved.onnx"));
	ok(!opened((struct pare_workspace_spec){
		   .session = tiny_path("s/moved.session"), .resume = true }) &&
			err.code == PARE_E_IO,
		"one that is gone: %s", err.text);
}

static void defaults_are_in_the_users_folder(void)
{
	struct pare_workspace *w;
	char folder[300], here[400];

	snprintf(folder, sizeof folder, "%s/state", tiny_folder);
	setenv("XDG_STATE_HOME", folder, 1);
	ok(!opened((struct pare_workspace_spec){ .resume = true }) && err.code == PARE_E_IO, "%s",
		err.text);
	w = opened((struct pare_workspace_spec){ .idle = true });
	ok(w && strstr(pare_workspace_session_path(w), "/state/pare/m-"), "%s",
		w ? pare_workspace_session_path(w) : "");
	say(w, "set conv_1 weights int8");
	snprintf(here, sizeof here, "%s", pare_workspace_session_path(w));
	pare_workspace_close(w);
	w = opened((struct pare_workspace_spec){ .resume = true, .idle = true });
	ok(w && !strcmp(here, pare_workspace_session_path(w)) && pare_workspace_here(w) == 1,
		"--resume alone finds the last one");
	pare_workspace_close(w);
}

/* The k-th of edits without end. */
static const char *edit(int k, char line[64])
{
	snprintf(line, 64, "prune * weights %d.%d%%", k % 100, k / 100 % 10);
	return line;
}

/* Another process that makes them, each told through `fd` once it was answered. */
static int edit_forever(const char *folder, const char *session, int fd)
{
	struct pare_workspace *w;
	char line[64];

	snprintf(tiny_folder, sizeof tiny_folder, "%s", folder);
	w = opened((struct pare_workspace_spec){
		.data = tiny_path("data"), .limit = 60, .session = session });
	if (!w)
		return 1;
	for (int k = 1;; k++) {
		if (!say(w, edit(k, line)) || write(fd, &k, sizeof k) != sizeof k)
			return 1;
		pare_workspace_pump(w);
		usleep(500);
	}
}

/* What a command was answered must be there after a kill. */
static void a_kill_shows_the_last_edit(void)
{
	struct pare_rng r = pare_rng_seed(5, 0);
	int rounds = 12, good = 0;

	for (int i = 0; i < rounds; i++) {
		struct pare_workspace *w;
		int told[2], n, last = -1, wait_for = 1 + (int)pare_rng_below(&r, 12);
		char name[64], line[64], fd[16];
		pid_t child;

		snprintf(name, sizeof name, "s/kill%d.session", i);
		if (pipe(told))
			return;
		snprintf(fd, sizeof fd, "%d", told[1]);
		if (!(child = fork())) {
			execl("/proc/self/exe", "test_workspace", tiny_folder, tiny_path(name), fd,
				NULL);
			_exit(1);
		}
		close(told[1]);
		while (last < wait_for && read(told[0], &n, sizeof n) == sizeof n)
			last = n;
		usleep((useconds_t)pare_rng_below(&r, 3000));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(told[0], &n, sizeof n) == sizeof n)
			last = n;
		close(told[0]);
		w = opened((struct pare_workspace_spec){
			.session = tiny_path(name), .resume = true, .idle = true });
		if (!w)
			continue;
		n = pare_workspace_here(w);
		good += last > 0 && n >= last && n <= last + 1 &&
			pare_workspace_n_plans(w) > last &&
			!strcmp(pare_workspace_plan_node(w, last)->command, edit(last, line));
		pare_workspace_close(w);
	}
	ok(good == rounds, "%d of %d killed sessions show the last edit", good, rounds);
}

static void a_full_disk_loses_nothing(void)
{
	struct pare_workspace_spec spec = { .session = tiny_path("s/full.session"), .idle = true };
	struct pare_workspace *w = opened(spec);
	struct rlimit was, tight;
	const char *why = "";
	char line[64];

	getrlimit(RLIMIT_FSIZE, &was);
	tight = was;
	tight.rlim_cur = 150000;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &tight);
	for (int i = 1; i < 99 && pare_workspace_saved(w, &why) == PARE_SAVED; i++) {
		snprintf(line, sizeof line, "prune * weights %d%%", i);
		say(w, line);
	}
	ok(pare_workspace_saved(w, &why) == PARE_SAVED_NOT && *why, "not saved: %s", why);
	ok(say(w, "set * weights int4"), "work goes on");
	setrlimit(RLIMIT_FSIZE, &was);
	ok(say(w, "set * weights int5") && pare_workspace_saved(w, &why) == PARE_SAVED,
		"once there is room, all is saved");
	pare_workspace_close(w);
	spec.resume = true;
	w = opened(spec);
	ok(w && !strcmp(pare_workspace_plan_node(w, pare_workspace_here(w))->command,
			"set * weights int5"),
		"and comes back");
	pare_workspace_close(w);
	w = opened((struct pare_workspace_spec){ .session = "/proc/no/x.session", .idle = true });
	ok(w && say(w, "set * weights int8"), "a folder that cannot be written: work goes on");
	ok(pare_workspace_saved(w, &why) == PARE_SAVED_NOT && strstr(why, "/proc/no"),
		"and it is told");
	pare_workspace_close(w);
}

static void a_read_only_folder_is_looked_at(void)
{
	struct pare_workspace_spec spec = { .session = tiny_path("ro/x.session"), .idle = true };
	struct pare_workspace *w = opened(spec);
	const char *why = "";

	ok(say(w, "set * weights int4"), "an edit");
	pare_workspace_close(w);
	if (!geteuid()) {
		tap_skip("a session in a read-only folder", "root may write anywhere");
		return;
	}
	chmod(tiny_path("ro"), 0555);
	spec.resume = true;
	w = opened(spec);
	ok(w && pare_workspace_here(w) == 1 && say(w, "set conv_1 weights int2"),
		"a session in a read-only folder opens and may be worked with");
	ok(w && pare_workspace_saved(w, &why) == PARE_SAVED_NOT, "and is not saved: %s", why);
	chmod(tiny_path("ro"), 0755);
	ok(w && say(w, "set conv_1 weights int3") && pare_workspace_saved(w, &why) == PARE_SAVED,
		"until the folder may be written");
	pare_workspace_close(w);
	w = opened(spec);
	ok(w && pare_workspace_n_plans(w) == 4 && pare_workspace_here(w) == 3, "then all is there");
	pare_workspace_close(w);
}

static int replay(const char *recipe, const char *output, struct pare_replay *out)
{
	struct pare_replay_spec spec = { .recipe = recipe, .output = output, .check = true };

	err.text[0] = 0;
	if (pare_replay_run(&spec, out, &err)) {
		printf("# %s\n", err.text);
		return 0;
	}
	for (int i = 0; i < out->n_notes; i++)
		printf("# %s\n", out->note[i]);
	return 1;
}

static int same_bytes(const char *a, const char *b)
{
	char *x = NULL, *y = NULL;
	size_t n = 0, m = 0;
	int same = !pare_text_read(a, 1 << 24, &x, &n, NULL) &&
		   !pare_text_read(b, 1 << 24, &y, &m, NULL) && n == m && n > 0 && !memcmp(x, y, n);

	free(x);
	free(y);
	return same;
}

static void swap_text(const char *path, const char *from, const char *to)
{
	char *text, *at, *rest;
	size_t len;

	if (pare_text_read(path, 1 << 20, &text, &len, NULL))
		return;
	if ((at = strstr(text, from))) {
		rest = strdup(at + strlen(from));
		*at = 0;
		at = malloc(len + strlen(to) + 1);
		if (rest && at) {
			int n = sprintf(at, "%s%s%s", text, to, rest);

			if (pare_file_write(path, at, (size_t)n, NULL))
				printf("# not written\n");
		}
		free(at);
		free(rest);
	}
	free(text);
}

static void a_recipe_replays_to_the_same_bytes(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){
		.memory = true, .data = tiny_path("data"), .limit = 100 });
	struct pare_replay r = { 0 };
	char line[600], sha[PARE_SHA_HEX], value[40];
	double measured;

	ok(say(w, "set * weights int8 activations int8") && say(w, "prune op=Conv weights 30%") &&
			say(w, "set last weights int4") && pump_until(w, plan_is_measured),
		"a plan is measured");
	measured = pare_workspace_metrics(w)->accuracy.value;
	snprintf(line, sizeof line, "write %s", tiny_path("out.pare"));
	ok(say(w, line) && pump_until(w, nothing_is_filed) && log_has(w, "it promises"), "written");
	snprintf(line, sizeof line, "export %s", tiny_path("a.onnx"));
	ok(say(w, line) && strstr(reply.text, "sha256"), "%s", reply.text);
	snprintf(line, sizeof line, "export %s format packed", tiny_path("a.pack"));
	snprintf(value, sizeof value, ": %lld bytes",
		(long long)pare_workspace_metrics(w)->cost.bytes);
	ok(say(w, line) && strstr(reply.text, value) && pare_packed_is(tiny_path("a.pack")), "%s",
		reply.text);
	pare_workspace_close(w);

	ok(replay(tiny_path("out.pare"), tiny_path("b.onnx"), &r) && r.ok, "its recipe checks");
	ok(r.now.accuracy.value == measured && r.now.accuracy.kind == PARE_MEASURED,
		"the same accuracy: %g", r.now.accuracy.value);
	ok(r.sha_verdict == PARE_KEPT && r.verdict[PARE_PROMISE_BYTES] == PARE_KEPT &&
			r.verdict[PARE_PROMISE_DROP] == PARE_KEPT &&
			r.verdict[PARE_PROMISE_MACS] == PARE_NOT_PROMISED,
		"all that was promised");
	snprintf(sha, sizeof sha, "%s", r.sha256);
	pare_replay_free(&r);
	for (int threads = 1; threads <= 2; threads++) {
		pare_set_threads(threads);
		ok(replay(tiny_path("out.pare"), NULL, &r) && !strcmp(r.sha256, sha),
			"the same bytes on %d threads", threads);
		pare_replay_free(&r);
	}
	pare_set_threads(0);
	ok(same_bytes(tiny_path("a.onnx"), tiny_path("b.onnx")), "export and apply write the same");
	ok(pare_replay_run(&(struct pare_replay_spec){ .recipe = tiny_path("out.pare"),
				   .output = tiny_path("m.onnx") },
		   &r, &err) == PARE_E_ARG,
		"the model is not written over: %s", err.text);
	snprintf(value, sizeof value, "accuracy %.2f%%", measured);
	swap_text(tiny_path("out.pare"), value, "accuracy 99.99%");
	ok(replay(tiny_path("out.pare"), NULL, &r) && !r.ok &&
			r.verdict[PARE_PROMISE_ACCURACY] == PARE_BROKEN &&
			r.sha_verdict == PARE_KEPT && r.n_notes == 1,
		"a promise that is broken is named");
	pare_replay_free(&r);
	swap_text(tiny_path("out.pare"), "accuracy 99.99%", value);
	swap_text(tiny_path("out.pare"), "int4", "int5");
	ok(replay(tiny_path("out.pare"), NULL, &r) && !r.ok && r.sha_verdict == PARE_BROKEN,
		"another plan has other bytes");
	pare_replay_free(&r);
	swap_text(tiny_path("out.pare"), pare_cpu_kind(), "z80");
	swap_text(tiny_path("out.pare"), "int5", "int6");
	ok(replay(tiny_path("out.pare"), NULL, &r) && r.sha_verdict == PARE_NOT_COMPARED,
		"made on another kind of CPU, bytes are not compared");
	pare_replay_free(&r);
}

/* A budget in a recipe comes to what was resolved when it was said to a workspace. */
static void a_recipe_spreads_a_budget(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){
		.memory = true, .data = tiny_path("data"), .limit = 100, .idle = true });
	struct pare_replay r = { 0 };
	char line[600], sha[PARE_SHA_HEX];

	ok(say(w, "set * weights int8") && say(w, "prune * channels to macs 75% repair throughout"),
		"a budget: %s", reply.text);
	snprintf(line, sizeof line, "write %s", tiny_path("spread.pare"));
	ok(say(w, line), "%s", reply.text);
	pare_workspace_close(w);
	ok(replay(tiny_path("spread.pare"), NULL, &r) && r.ok, "its shares replay");
	snprintf(sha, sizeof sha, "%s", r.sha256);
	/* the line goes before the first of them, which are then comments */
	swap_text(tiny_path("spread.pare"), "\nprune ",
		"\nprune * channels to macs 75% repair throughout\n#");
	while (has_text(tiny_path("spread.pare"), "\nprune  "))
		swap_text(tiny_path("spread.pare"), "\nprune  ", "\n# ");
	pare_replay_free(&r);
	for (int threads = 1; threads <= 2; threads++) {
		pare_set_threads(threads);
		ok(replay(tiny_path("spread.pare"), NULL, &r) && !strcmp(r.sha256, sha),
			"and so does what was asked, on %d threads", threads);
		pare_replay_free(&r);
	}
	pare_set_threads(0);
}

static void a_recipe_is_estimated_by_a_map(void)
{
	struct pare_workspace_spec spec = {
		.data = tiny_path("data"), .limit = 100, .session = tiny_path("s/map.session")
	};
	struct pare_workspace *w = opened(spec);
	struct pare_replay_spec ask = { .recipe = tiny_path("e.pare"), .estimate_only = true };
	struct pare_replay r = { 0 };
	char line[600];

	snprintf(line, sizeof line, "write %s", tiny_path("e.pare"));
	ok(pump_until(w, map_is_complete) && say(w, "map pause") &&
			say(w, "set conv_5 weights int3") && say(w, line) &&
			pump_until(w, nothing_is_filed),
		"a map, and a plan that is not measured");
	pare_workspace_close(w);
	ask.session = spec.session;
	ok_status(pare_replay_run(&ask, &r, &err), err, "it is estimated");
	ok(r.now.accuracy.kind == PARE_ESTIMATED && r.was.accuracy.kind == PARE_MEASURED &&
			r.estimated.accuracy.value == r.now.accuracy.value && !*r.sha256,
		"by the map of the session: %g %%", r.now.accuracy.value);
	pare_replay_free(&r);
	ask.session = tiny_path("s/back.session");
	ok(pare_replay_run(&ask, &r, &err) == PARE_OK, "any session of this model and data does");
	pare_replay_free(&r);
	ask.session = tiny_path("ro/x.session");
	ok(pare_replay_run(&ask, &r, &err) == PARE_E_MISMATCH && strstr(err.text, "other data"),
		"another one is told: %s", err.text);
	ask.session = NULL;
	ok_status(pare_replay_run(&ask, &r, &err), err, "without a session");
	ok(r.now.accuracy.kind == PARE_UNKNOWN && r.now.cost.bytes > 0, "only the cost is known");
	pare_replay_free(&r);
}

static void devices_tell_of_the_plan(void)
{
	const char *names[] = { "host", NULL };
	struct pare_workspace *w = opened((struct pare_workspace_spec){
		.memory = true, .data = tiny_path("data"), .limit = 50, .devices = names });
	const struct pare_device_row *row;

	if (!ok(w != NULL && pare_workspace_n_devices(w) == 1, "this machine is a device"))
		return;
	ok(say(w, "set * weights int8 activations int8") && pump_until(w, map_is_complete), "edit");
	for (int i = 0; i < 200; i++) {
		row = pare_workspace_device(w, 0);
		if (row->now.latency_ms.kind == PARE_MEASURED)
			break;
		usleep(50000);
		pare_workspace_pump(w);
	}
	row = pare_workspace_device(w, 0);
	ok(row->was.latency_ms.kind == PARE_MEASURED && row->now.latency_ms.kind == PARE_MEASURED,
		"float and plan are run on it: %g and %g ms", row->was.latency_ms.value,
		row->now.latency_ms.value);
	ok(say(w, "set first weights int4") && !isnan(row->was.latency_ms.value) &&
			pare_workspace_device(w, 0)->now.latency_ms.kind == PARE_UNKNOWN,
		"another plan is not known yet");
	pare_workspace_close(w);
}

static void zeros_say_who_gains(void)
{
	struct pare_workspace *w = opened((struct pare_workspace_spec){ .memory = true });

	ok(say(w, "device cortex-m7-cubeai") && say(w, "prune 2,3 weights 50% pattern 2:4") &&
			strstr(reply.text,
				"2 stay as before: channels that do not come out even in "
				"2:4; smaller, but no faster on cortex-m7-cubeai"),
		"%s", reply.text);
	ok(say(w, "prune 2 weights 30%") &&
			!strcmp(reply.text, "smaller, but no faster on cortex-m7-cubeai"),
		"of one layer: %s", reply.text);
	ok(say(w, "set * weights int8") && !strstr(reply.text, "faster"),
		"what is not about zeros says nothing of them: %s", reply.text);
	ok(!say(w, "prune * weights spread 50% by obs") && strstr(err.text, "--data"),
		"shares are sought by looking at samples: %s", err.text);
	pare_workspace_close(w);
}

static void words_are_completed(void)
{
	struct pare_workspace *w =
		opened((struct pare_workspace_spec){ .memory = true, .idle = true });
	size_t start;
	const char *s = pare_workspace_complete(w, "set conv_3", 10, 0, &start);
	struct pare_command_info row;
	int n = 0;

	ok(s && !strcmp(s, "conv_3") && start == 4 &&
			!pare_workspace_complete(w, "set conv_3", 10, 1, &start),
		"layers of this model");
	s = pare_workspace_complete(w, "device ho", 9, 0, &start);
	ok(s && !strcmp(s, "host"), "devices of this machine");
	while (pare_command_row(n, &row))
		n += row.name && row.help ? 1 : 1000;
	ok(n > 10 && n < 1000, "%d commands have help", n);
	pare_workspace_close(w);
}

int main(int argc, char **argv)
{
	if (argc == 4)
		return edit_forever(argv[1], argv[2], atoi(argv[3]));
	if (!tiny_home() || !tiny_model(tiny_path("m.onnx"), 1) ||
		!tiny_data(tiny_path("data"), 200, 1, 1))
		return 1;
	edits_make_a_tree();
	without_data_activations_cannot_go();
	a_device_brings_its_step();
	the_map_fills_in_behind();
	pausing_stops_and_measuring_goes_on();
	a_file_is_written_behind_the_screen();
	a_budget_is_spread_behind_the_screen();
	devices_have_their_say();
	a_session_comes_back();
	defaults_are_in_the_users_folder();
	a_kill_shows_the_last_edit();
	a_full_disk_loses_nothing();
	a_read_only_folder_is_looked_at();
	a_recipe_replays_to_the_same_bytes();
	a_recipe_spreads_a_budget();
	a_recipe_is_estimated_by_a_map();
	devices_tell_of_the_plan();
	zeros_say_who_gains();
	words_are_completed();
	return tap_done();
}
