#include "plugins/loader.h"
#include "plugins/profile.h"
#include "tests/build.h"
#include "tests/tap.h"
#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const profiles[] = { "coral-edge-tpu", "cortex-m7-cubeai",
	"jetson-nano-tensorrt", "raspberry-pi-4-ncnn", "raspberry-pi-4-tflite",
	"snapdragon-8-gen-3", "vitis-ai-dpu", "x86-avx2-onnxruntime" };
enum { N_PROFILES = sizeof profiles / sizeof *profiles };

static struct pare_published published;
static struct pare_layer_table layers;

static void profile_path(char *buf, size_t len, const char *name)
{
	snprintf(buf, len, "plugins/profiles/%s.profile", name);
}

/* The committed profiles are what the committed measurements say; PARE_REFIT=1 writes them anew. */
static void profiles_come_from_published_rows(void)
{
	for (int i = 0; i < N_PROFILES; i++) {
		struct pare_profile p;
		struct pare_err err = { 0 };
		char path[256], *text = NULL, was[16384] = "";
		size_t len, n = 0;
		FILE *f;

		profile_path(path, sizeof path, profiles[i]);
		if (!ok(!pare_profile_read(path, &p, &err) &&
				    !pare_profile_fit(&p, &published, &layers, &err),
			    "%s is read and fitted", profiles[i])) {
			printf("#   %s\n", err.text);
			continue;
		}
		f = open_memstream(&text, &len);
		pare_profile_write(&p, f);
		fclose(f);
		if (getenv("PARE_REFIT") && (f = fopen(path, "w"))) {
			fputs(text, f);
			fclose(f);
		}
		f = fopen(path, "r");
		if (f) {
			n = fread(was, 1, sizeof was - 1, f);
			fclose(f);
		}
		ok(n == len && !memcmp(text, was, len), "%s is what the fit gives", profiles[i]);
		for (int s = 0; s < p.n_sets; s++)
			printf("#   %-22s %-5s rows %2.0f  model out %5.1f %%  family out %5.1f %% "
			       " "
			       "band x%.2f\n",
				p.name, p.sets[s].name, p.sets[s].rows, p.sets[s].error_model_out,
				p.sets[s].error_family_out, p.sets[s].band);
		if (*p.need_flash.terms)
			printf("#   flash %.1f %%, RAM %.1f %%\n", p.need_flash.error,
				p.need_ram.error);
		free(text);
	}
}

/* ---- predictions by hand ---------------------------------------------------------------- */

static const char two_sets[] =
	"pare-profile 1\nname t\nclass mcu\ndevice d\nruntime r\nsource s\n"
	"rules u\nram 1000\nflash 3000\nfit-ram peak\nneed-ram peak 1\nfit-flash weight\n"
	"need-flash weight 1\n"
	"precision fp32\nweights float32\nactivations float32\nband 1.5\nrate conv 4\n"
	"rate fc 2\nrate act 1\nrate weight 0.5\nrate layer 1000\nrate other 100\n"
	"rate const 5000\n"
	"precision int8\nweights int8 int4\nactivations int8\nactivation-bytes 1\n"
	"weight-bytes 1\nband 1.2\npower 100\nrate conv 1\nrate fc 1\nrate act 2\n"
	"rate const 3000\n";

/* A profile from text; the file is gone afterwards. */
static enum pare_status profile_from(const char *text, struct pare_profile *p, struct pare_err *err)
{
	char path[] = "/tmp/pare-profile-XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	enum pare_status st;

	if (!f)
		return PARE_E_IO;
	fputs(text, f);
	fclose(f);
	st = pare_profile_read(path, p, err);
	remove(path);
	return st;
}

static struct pare_plugin_layer net[] = {
	{ "conv", "Conv", PARE_WORK_CONV, 0, 1000, 50, 100, 200, 3, 8, 3, 1, 1, "float32",
		"float32", 32, 32, 0, NULL },
	{ "relu", "Relu", PARE_WORK_FREE, -1, 0, 0, 200, 200, 8, 8, 1, 1, 1, "float32", "float32",
		32, 32, 0, NULL },
	{ "pool", "MaxPool", PARE_WORK_OTHER, -1, 0, 0, 200, 50, 8, 8, 2, 2, 1, "float32",
		"float32", 32, 32, 0, NULL },
	{ "fc", "Gemm", PARE_WORK_DENSE, 1, 500, 510, 50, 10, 0, 0, 1, 1, 1, "float32", "float32",
		32, 32, 0, NULL },
};
static const struct pare_plugin_work work = { sizeof work, sizeof *net, 4, net };

static struct pare_plugin_figures figures(const struct pare_profile *p)
{
	struct pare_plugin_figures f = { .size = sizeof f,
		.latency_ms = (double)NAN,
		.energy_mj = (double)NAN,
		.ram = -1,
		.flash = -1 };

	pare_profile_predict(p, &work, &f);
	return f;
}

static void formats(int layer, const char *w, int w_bits, const char *a, int a_bits)
{
	net[layer].weights = w;
	net[layer].weight_bits = w_bits;
	net[layer].activations = a;
	net[layer].activation_bits = a_bits;
}

static int near(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fabs(b);
}

static void dials_move_the_latency(void)
{
	struct pare_profile p;
	struct pare_err err = { 0 };
	struct pare_plugin_figures f;
	/* by hand, in ns: MACs, activation bytes, weight bytes, nodes, constant */
	double conv = 1000 * 4 + 300 * 4 + 200 * 0.5 + 1000, pool = 250 * 4 + 100,
	       fc = 500 * 2 + 60 * 4 + 2040 * 0.5 + 1000, conv8 = 1000 + 300 * 2, pool8 = 250 * 2,
	       fc8 = 500 + 60 * 2;

	ok_status(profile_from(two_sets, &p, &err), err, "a profile of two precisions is read");
	f = figures(&p);
	ok(near(f.latency_ms, (conv + pool + fc + 5000) * 1e-6), "float is the sum of its nodes");
	ok(near(f.latency_hi, 1.5 * f.latency_ms) && near(f.latency_lo * 1.5, f.latency_ms),
		"the interval is the band");
	ok(!f.n_fallbacks && !*f.why && isnan(f.energy_mj),
		"nothing falls back; no energy is told");
	ok(f.ram == 300 * 4 && f.flash == 560 * 4 && f.fits == PARE_PLUGIN_FITS_NO,
		"RAM is the peak, flash the weights, and they do not fit");

	formats(1, "int8", 8, "int8", 8); /* no layer: what it says does not matter */
	formats(0, "int8", 8, "int8", 8);
	formats(3, "int8", 8, "int8", 8);
	f = figures(&p);
	ok(near(f.latency_ms, (conv8 + pool8 + fc8 + 3000) * 1e-6) && !f.n_fallbacks,
		"int8 runs with its own rates");
	ok(near(f.energy_mj, f.latency_ms * 100 / 1000), "energy is power times time");
	ok(f.ram == 300 && f.flash == 560 && f.fits == PARE_PLUGIN_FITS_YES, "and fits");

	formats(3, "int4", 4, "int8", 8);
	f = figures(&p);
	ok(near(f.latency_ms, (conv8 + pool8 + fc8 + 3000) * 1e-6) && f.n_fallbacks == 1 &&
			!strcmp(f.why, "fc: int4 weights, int8 activations run as int8, no faster"),
		"int4 gains nothing over int8, and that is told: %s", f.why);

	formats(3, "int8", 8, "float32", 32);
	f = figures(&p);
	ok(near(f.latency_ms, (conv8 + pool8 + fc + 100 + 50 * 5 + 4000) * 1e-6) &&
			f.n_fallbacks == 1 &&
			!strcmp(f.why, "fc: int8 weights run as fp32, no faster"),
		"int8 weights alone run as float, after a conversion: %s", f.why);
	ok(near(f.latency_hi, 1.5 * f.latency_ms), "the wider band holds");

	p.macs_from = 32 * 1500;
	f = figures(&p);
	ok(near(f.latency_hi, 2 * 1.5 * f.latency_ms),
		"a network 32 times smaller than any published gets twice the band");
	p.macs_from = 0;

	formats(0, "float32", 32, "float32", 32);
	formats(3, "float32", 32, "float32", 32);
	net[0].sparsity = 0.5;
	f = figures(&p);
	ok(near(f.latency_ms, (conv + pool + fc + 5000) * 1e-6) && f.n_fallbacks == 1 &&
			!strcmp(f.why, "conv: 50% zeros run as dense weights, no faster"),
		"zeros gain nothing: %s", f.why);
	net[0].pattern = "2:4";
	f = figures(&p);
	ok(!strcmp(f.why, "conv: 2:4 zeros run as dense weights, no faster"),
		"nor do they in a pattern: %s", f.why);
	strcpy(p.patterns, "4:8 2:4");
	f = figures(&p);
	ok(near(f.latency_ms, (conv + pool + fc + 5000) * 1e-6) &&
			!strcmp(f.why, "conv: 2:4 zeros run faster by what is not known"),
		"where the device has it no gain is made up: %s", f.why);
	*p.patterns = 0;
	net[0].pattern = NULL;
	net[0].sparsity = 0;
}

static void a_device_without_float_says_so(void)
{
	struct pare_profile p;
	struct pare_err err = { 0 };
	struct pare_plugin_figures f;

	ok_status(profile_from("pare-profile 1\nname t\nclass npu\ndevice d\nruntime r\nsource s\n"
			       "rules u\nprecision int8\nweights int8\nactivations int8\nband 2\n"
			       "rate conv 1\n",
			  &p, &err),
		err, "a profile of int8 alone is read");
	f = figures(&p);
	ok(isnan(f.latency_ms) && f.n_fallbacks == 2 &&
			!strcmp(f.why, "conv: float32 values run nowhere on this device"),
		"float has no latency there: %s", f.why);
}

static void int8_helps_where_it_is_said_to(void)
{
	static const struct {
		const char *name;
		double least, most; /* float time / int8 time, of ResNet-18 */
	} gain[] = { { "cortex-m7-cubeai", 1.8, 2 }, { "raspberry-pi-4-tflite", 2, 3.5 },
		{ "snapdragon-8-gen-3", 2.4, 2.9 }, { "jetson-nano-tensorrt", 1, 1 },
		{ "raspberry-pi-4-ncnn", 1, 1 } };
	struct pare_plugin_work resnet = { 0 };
	struct pare_plugin_layer *copy;

	if (!ok(pare_layer_table_find(&layers, "tv_resnet18", &resnet),
		    "ResNet-18 is in the table"))
		return;
	copy = malloc((size_t)resnet.n_layers * sizeof *copy);
	if (!copy)
		return;
	memcpy(copy, resnet.layers, (size_t)resnet.n_layers * sizeof *copy);
	resnet.layers = copy;
	for (size_t i = 0; i < sizeof gain / sizeof *gain; i++) {
		struct pare_plugin_figures f = { 0 }, q = { 0 };
		struct pare_err err = { 0 };
		struct pare_profile p;
		char path[256];

		profile_path(path, sizeof path, gain[i].name);
		if (!ok(!pare_profile_read(path, &p, &err), "%s", gain[i].name))
			continue;
		for (int bits = 32; bits >= 8; bits -= 24) {
			for (int64_t l = 0; l < resnet.n_layers; l++) {
				copy[l].weights = copy[l].activations =
					bits == 8 ? "int8" : "float32";
				copy[l].weight_bits = copy[l].activation_bits = bits;
			}
			pare_profile_predict(&p, &resnet, bits == 8 ? &q : &f);
		}
		ok(f.latency_ms / q.latency_ms >= gain[i].least - 1e-9 &&
				f.latency_ms / q.latency_ms <= gain[i].most + 1e-9,
			"%s: %.2f ms, int8 %.2f ms; %s", gain[i].name, f.latency_ms, q.latency_ms,
			q.why);
		ok((gain[i].most > 1) == !q.n_fallbacks,
			"it falls back only where it gains nothing");
	}
	free(copy);
}

static void bad_profiles_are_told(void)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "does not begin with" },
		{ "pare-profile 2\n", "does not begin with" },
		{ "pare-profile 1\nname x\n", "no 'precision'" },
		{ "pare-profile 1\ncolour red\n", ":2: 'colour' is no word" },
		{ "pare-profile 1\nname\n", ":2: 'name' says nothing" },
		{ "pare-profile 1\nrate conv 1\n", ":2: a rate before" },
		{ "pare-profile 1\nband 1\n", ":2: 'band' before" },
		{ "pare-profile 1\nprecision a\nrate conv -1\n", ":3: '-1' is no number" },
		{ "pare-profile 1\nprecision a\nrate conv 1 2\n", "one number" },
		{ "pare-profile 1\nprecision a\nrate warp 1\n", "one number" },
		{ "pare-profile 1\nprecision a\nrate conv nan\n", "'nan' is no number" },
		{ "pare-profile 1\nprecision a\nprecision b\nprecision c\nprecision d\nprecision "
		  "e\n",
			"more than 4" },
		{ "pare-profile 1\nname x\nclass c\ndevice d\nruntime r\nsource s\nrules u\n"
		  "precision a\nweights w\nactivations v\n",
			"needs a 'band'" },
		{ "pare-profile 1\nname x\nclass c\ndevice d\nruntime r\nsource s\nrules u\n"
		  "precision a\nweights w\nactivations v\nband 2\nlike b\n",
			"is like 'b'" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pare_profile p;
		struct pare_err err = { 0 };

		ok(profile_from(bad[i].text, &p, &err) == PARE_E_FORMAT &&
				strstr(err.text, bad[i].says),
			"refused: %s", strrchr(err.text, '/') ? strrchr(err.text, '/') : err.text);
	}
}

static void bad_tables_are_told(void)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "is empty" },
		{ "model,type\n", "no column 'macs'" },
		{ "model,type,macs,params,in_elems,out_elems,k,groups\na,Conv,1\n",
			":2: 3 fields, the header has 8" },
		{ "model,type,macs,params,in_elems,out_elems,k,groups\na,Conv,x,1,1,1,1,1\n",
			":2: 'x' is no number" },
		{ "model,type,macs,params,in_elems,out_elems,k,groups\na,Conv,-1,1,1,1,1,1\n",
			":2: '-1' is no number" },
		{ "model,type,macs,params,in_elems,out_elems,k,groups\na,Conv,,1,1,1,1,1\n",
			":2: '' as macs" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char path[] = "/tmp/pare-table-XXXXXX";
		int fd = mkstemp(path);
		FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
		struct pare_layer_table t;
		struct pare_err err = { 0 };

		if (!f)
			return;
		fputs(bad[i].text, f);
		fclose(f);
		ok(pare_layer_table_read(path, &t, &err) == PARE_E_FORMAT &&
				strstr(err.text, bad[i].says),
			"refused: %s", err.text);
		remove(path);
	}
}

static void quoted_fields_are_read(void)
{
	char path[] = "/tmp/pare-table-XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	struct pare_published p;
	struct pare_err err = { 0 };

	if (!f)
		return;
	fputs("device,runtime,model,precision,threads,latency_ms,energy_mJ,ram_KiB,flash_KiB\r\n"
	      "\"a, \"\"b\"\"\",r,m,int8,,2.5,,1,\r\n",
		f);
	fclose(f);
	ok_status(pare_published_read(path, &p, &err), err, "a table of Windows is read");
	ok(p.n == 1 && !strcmp(p.rows[0].device, "a, \"b\"") && !*p.rows[0].threads &&
			p.rows[0].latency_ms == 2.5 && isnan(p.rows[0].energy_mj) &&
			p.rows[0].ram == 1024 && isnan(p.rows[0].flash),
		"quotes, commas and empty fields are what they should be");
	ok(!strcmp(p.rows[0].family, "m"), "without families each model is its own");
	pare_published_free(&p);
	remove(path);
}

/* ---- the registry ----------------------------------------------------------------------- */

static void the_registry_holds_what_pare_brings(void)
{
	struct pare_devices *ds = NULL;
	struct pare_err err = { 0 };
	const struct pare_device *d;
	const struct pare_device_info *host;
	int n = 0, sorted = 1;

	setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
	ok_status(pare_devices_load(&ds, &err), err, "devices are loaded");
	ok(!pare_devices_problem(ds, 0), "without a problem");
	for (; (d = pare_devices_get(ds, n)); n++)
		sorted =
			sorted && (!n || strcmp(pare_device_info(pare_devices_get(ds, n - 1))->name,
						 pare_device_info(d)->name) < 0);
	ok(n == N_PROFILES + 1 && sorted, "%d devices, sorted", n);
	for (int i = 0; i < N_PROFILES; i++)
		ok((d = pare_devices_find(ds, profiles[i])) && !pare_device_info(d)->measures &&
				(pare_device_info(d)->rows > 0 ||
					strstr(pare_device_info(d)->rules, "is not known")),
			"%s is there", profiles[i]);
	ok(!pare_devices_find(ds, "abacus"), "and no other");
	host = pare_device_info(pare_devices_find(ds, "host"));
	ok(host->measures && *host->device && strstr(host->rules, "no gain"), "host: %s, %s",
		host->device, host->rules);
	pare_devices_free(ds);
}

static int shell(const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	return system(line);
}

static int stub(const char *folder, const char *name, const char *flags)
{
	return !shell("${CC:-cc} -shared -fPIC %s -o %s/%s.so tests/unit/plugin_stub.c", flags,
		folder, name);
}

/* Is there a problem that names `who` and says `what`? */
static int told(const struct pare_devices *ds, const char *who, const char *what)
{
	const char *p;

	for (int i = 0; (p = pare_devices_problem(ds, i)); i++)
		if (strstr(p, who) && strstr(p, what)) {
			printf("#   %s\n", p);
			return 1;
		}
	return 0;
}

static bool objects(const struct pare_device *d, const char *format, const char *scales,
	const char *codes, const char *range, char why[160])
{
	struct pare_dials x = { .weights = (uint8_t)pare_format_find(format),
		.activations = (uint8_t)pare_format_find("int8"),
		.granularity = (uint8_t)pare_method_find(PARE_GRANULARITY, scales),
		.scheme = (uint8_t)pare_method_find(PARE_SCHEME, codes),
		.ranging = (uint8_t)pare_method_find(PARE_RANGING, range) };

	return pare_device_objects(pare_device_info(d), &x, why, 160);
}

/* What a device does not take is told in the words of the language. */
static void devices_object(void)
{
	const char *power = "power-of-two";
	struct pare_devices *ds = NULL;
	const struct pare_device *dpu = NULL, *tpu = NULL, *host = NULL;
	struct pare_dials none = { 0 };
	char why[160] = "";

	ok(!pare_devices_load(&ds, NULL) && (dpu = pare_devices_find(ds, "vitis-ai-dpu")) &&
			(tpu = pare_devices_find(ds, "coral-edge-tpu")) &&
			(host = pare_devices_find(ds, "host")),
		"devices with rules of their own");
	ok(!objects(dpu, "int8", "per-tensor", power, power, why), "the DPU takes powers of two");
	ok(objects(dpu, "int8", "per-channel", power, power, why) &&
			strstr(why, "takes scales per-tensor, not per-channel"),
		"%s", why);
	ok(objects(dpu, "int8", "per-tensor", "symmetric", power, why) &&
			strstr(why, "codes of weights power-of-two, not symmetric"),
		"%s", why);
	ok(objects(dpu, "int4", "per-tensor", power, power, why) && strstr(why, "not int4"), "%s",
		why);
	ok(objects(tpu, "int8", "per-channel", "symmetric", "dynamic", why) &&
			strstr(why, "not dynamic"),
		"%s", why);
	ok(!objects(tpu, "int8", "per-channel", "symmetric", "static", why),
		"the Edge TPU takes scales for channels");
	ok(!pare_device_objects(pare_device_info(dpu), &none, why, sizeof why) &&
			!objects(host, "int3", "per-group 32", "asymmetric", "dynamic", why),
		"nothing is asked of a float layer, and the host takes anything");
	ok(pare_device_saturates(pare_device_info(pare_devices_find(ds, "x86-avx2-onnxruntime"))) &&
			!pare_device_saturates(pare_device_info(tpu)),
		"which of them cuts off sums");
	pare_devices_free(ds);
}

static void plugins_are_loaded_or_told(void)
{
	char folder[] = "/tmp/pare-plugins-XXXXXX", objects[64], texts[64];
	struct pare_devices *ds = NULL;
	struct pare_err err = { 0 };
	int n = 0;

	if (!mkdtemp(folder))
		return;
	umask(022);
	snprintf(objects, sizeof objects, "%s/plugins", folder);
	snprintf(texts, sizeof texts, "%s/profiles", folder);
	mkdir(objects, 0755);
	mkdir(texts, 0755);
	ok(stub(objects, "good", "") && stub(objects, "new", "-DSTUB_ABI=2 -DSTUB_NAME='\"b\"'") &&
			stub(objects, "old", "-DSTUB_ABI=0 -DSTUB_NAME='\"c\"'") &&
			stub(objects, "short", "-DSTUB_SIZE=16 -DSTUB_NAME='\"d\"'") &&
			stub(objects, "silent", "-DSTUB_NO_SYMBOL") &&
			stub(objects, "sick", "-DSTUB_FAILS -DSTUB_NAME='\"e\"'") &&
			stub(objects, "liar", "-DSTUB_LATENCY=-1 -DSTUB_NAME='\"liar\"'") &&
			stub(objects, "twin", "") &&
			stub(objects, "shouts", "-DSTUB_NAME='\"LOUD NAME\"'") &&
			stub(objects, "open", "-DSTUB_NAME='\"f\"'"),
		"plugins to test with are built");
	shell("chmod o+w %s/open.so; echo x > %s/text.so; echo no > %s/no.profile", objects,
		objects, texts);
	ok_status(pare_devices_load_from(NULL, folder, &ds, &err), err, "a folder is loaded");
	while (pare_devices_get(ds, n))
		n++;
	ok(n == 3 && pare_devices_find(ds, "stub") && pare_devices_find(ds, "liar"),
		"the plugins that are right are there");
	ok(told(ds, "new.so", "newer pare"), "one that is too new is told");
	ok(told(ds, "old.so", "build it anew"), "one that is too old is told");
	ok(told(ds, "short.so", "too short"), "one with a short struct is told");
	ok(told(ds, "silent.so", "no symbol pare_plugin_entry"), "one without the symbol is told");
	ok(told(ds, "sick.so", "the board does not answer"), "one that does not start is told");
	ok(told(ds, "twin.so", "already"), "a second one of the same name is told");
	ok(told(ds, "shouts.so", "no name for a device"), "a name with blanks is told");
	ok(told(ds, "open.so", "chmod go-w"), "one that others can write to is told");
	ok(told(ds, "text.so", "cannot be loaded"), "a file that is no object is told");
	ok(told(ds, "no.profile", "pare-profile 1"), "a bad profile is told");
	pare_devices_free(ds);

	shell("chmod g+w %s; chmod o+w %s", objects, texts);
	shell("cp plugins/profiles/cortex-m7-cubeai.profile %s", texts);
	ok_status(pare_devices_load_from(NULL, folder, &ds, &err), err, "a folder is loaded");
	ok(pare_devices_get(ds, 0) && !pare_devices_get(ds, 1),
		"nothing is taken from folders that others can write to");
	ok(told(ds, "/plugins", "chmod go-w") && told(ds, "cortex", "chmod o-w"),
		"and that is told");
	pare_devices_free(ds);
	shell("rm -r %s", folder);
}

/* ---- on a real network ------------------------------------------------------------------ */

static struct pare_model *shared_model(const char *name)
{
	const char *shared = getenv("PARE_SHARED");
	struct pare_model *m = NULL;
	struct pare_err err = { 0 };
	char path[512];

	snprintf(path, sizeof path, "%s/models/%s", shared ? shared : "../shared", name);
	if (access(path, R_OK))
		return NULL;
	ok_status(pare_model_open(path, &m, &err), err, "%s is opened", path);
	return m;
}

static void every_layer_int8(struct pare_plan *p)
{
	for (int i = 0; i < p->n; i++)
		p->dials[i].weights = p->dials[i].activations = (uint8_t)pare_format_find("int8");
}

static void a_model_costs_what_its_list_of_layers_does(void)
{
	struct pare_model *m = shared_model("resnet8/model.onnx");
	struct pare_devices *ds = NULL;
	struct pare_err err = { 0 };
	struct pare_device_figures was, now;
	struct pare_plugin_work w;
	struct pare_plan *p;
	struct pare_profile prof;
	struct pare_plugin_figures f = { .size = sizeof f, .energy_mj = (double)NAN };
	const struct pare_device *d;

	if (!m) {
		tap_skip("resnet8 on a Cortex-M7", "no ../shared/models (set PARE_SHARED)");
		return;
	}
	ok_status(pare_devices_load(&ds, &err), err, "devices are loaded");
	d = pare_devices_find(ds, "cortex-m7-cubeai");
	p = pare_plan_new(pare_model_info(m)->n_layers);
	every_layer_int8(p);
	ok_status(pare_device_predict(d, m, NULL, &was, &err), err, "float is predicted");
	ok_status(pare_device_predict(d, m, p, &now, &err), err, "int8 is predicted");
	ok(!pare_profile_read("plugins/profiles/cortex-m7-cubeai.profile", &prof, &err) &&
			pare_layer_table_find(&layers, "st_resnet_v1_8_32", &w),
		"the published list of layers is there");
	pare_profile_predict(&prof, &w, &f);
	printf("#   model %.2f ms, published list %.2f ms, measured 28.67 ms; float %.1f ms (%s)\n",
		now.latency_ms.value, f.latency_ms, was.latency_ms.value, was.why);
	ok(fabs(now.latency_ms.value / f.latency_ms - 1) < 0.05,
		"the model costs what the same network's list of layers does");
	ok(now.latency_ms.kind == PARE_ESTIMATED && now.latency_ms.lo < 28.67 &&
			now.latency_ms.hi > 28.67 && now.fits == PARE_FITS_YES,
		"the published time lies in the interval, and it fits");
	ok(was.n_fallbacks == pare_model_info(m)->n_layers &&
			was.latency_ms.value > now.latency_ms.value,
		"float layers fall back");
	printf("#   RAM %ld, flash %ld (published for ST's: 71395, 136550)\n", (long)now.ram,
		(long)now.flash);
	pare_plan_free(p);
	pare_devices_free(ds);
	pare_model_free(m);
}

static void the_host_measures(void)
{
	struct pare_model *m = shared_model("resnet8/model.onnx");
	struct pare_devices *ds = NULL;
	struct pare_variant *v = NULL;
	struct pare_ctl ctl = { 0 };
	struct pare_err err = { 0 };
	struct pare_device_figures f;
	struct pare_plan *p;
	const struct pare_device *host;

	if (!m) {
		tap_skip("host measures resnet8", "no ../shared/models (set PARE_SHARED)");
		return;
	}
	p = pare_plan_new(pare_model_info(m)->n_layers);
	ok_status(pare_devices_load(&ds, &err), err, "devices are loaded");
	ok_status(pare_variant_new(m, p, NULL, NULL, &v, &err), err, "a variant is made");
	host = pare_devices_find(ds, "host");
	ok(!pare_device_predict(host, m, NULL, &f, &err) && f.latency_ms.kind == PARE_UNKNOWN,
		"host predicts nothing");
	ok_status(pare_device_measure(host, v, &ctl, &f, &err), err, "host measures");
	ok(f.latency_ms.kind == PARE_MEASURED && f.latency_ms.lo > 0 && f.latency_ms.samples >= 5,
		"%.2f ms (%.2f … %.2f) over %ld runs", f.latency_ms.value, f.latency_ms.lo,
		f.latency_ms.hi, (long)f.latency_ms.samples);
	atomic_store(&ctl.cancel, true);
	ok(pare_device_measure(host, v, &ctl, &f, &err) == PARE_E_CANCELED, "until it is canceled");
	ok(pare_device_measure(pare_devices_find(ds, "cortex-m7-cubeai"), v, NULL, &f, &err) ==
			PARE_E_UNSUPPORTED,
		"a profile cannot: %s", err.text);
	pare_variant_free(v);
	pare_plan_free(p);
	pare_devices_free(ds);
	pare_model_free(m);
}

/* A time of the nodes that are known alone would look like the time of all. */
static void a_network_with_an_unknown_node_has_no_time(void)
{
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;
	struct pare_devices *ds = NULL;
	struct pare_device_figures f = { 0 };

	ok_status(pare_model_open("tests/fuzz/onnx/typed.onnx", &m, &err), err, "it opens");
	ok_status(pare_devices_load(&ds, &err), err, "the devices load");
	ok(m && ds &&
			pare_device_predict(pare_devices_find(ds, "cortex-m7-cubeai"), m, NULL, &f,
				&err) == PARE_E_UNSUPPORTED,
		"no prediction: %s", err.text);
	pare_devices_free(ds);
	pare_model_free(m);
}

/* …and so would that of layers whose sizes are not known. */
static void a_network_of_open_axes_has_no_time(void)
{
	struct build *b = build_new(13);
	struct pare_err err = { 0 };
	struct pare_devices *ds = NULL;
	struct pare_device_figures f = { 0 };
	struct pare_model *m;

	build_input(b, "x", 4, -1, 3, 8, -1);
	build_weight(b, "w", 0.5f, 4, 4, 3, 3, 3);
	build_node(b, "Conv", "", "x w", "y");
	build_output(b, "y");
	m = build_model(b);
	ok_status(pare_devices_load(&ds, &err), err, "the devices load");
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "jetson-nano-tensorrt" : "cortex-m7-cubeai";
		const struct pare_device *d = pare_devices_find(ds, name);

		ok(d && !pare_device_predict(d, m, NULL, &f, &err) &&
				f.latency_ms.kind == PARE_UNKNOWN && f.ram == -1 &&
				strstr(f.why, "--shape"),
			"%s: %s", name, d ? f.why : "is not there");
	}
	pare_devices_free(ds);
	pare_model_free(m);
}

int main(void)
{
	struct pare_err err = { 0 };

	ok_status(pare_published_read("plugins/published/measured.csv", &published, &err), err,
		"published measurements are read");
	ok_status(pare_layer_table_read("plugins/published/layers.csv", &layers, &err), err,
		"published layers are read");
	profiles_come_from_published_rows();
	dials_move_the_latency();
	a_device_without_float_says_so();
	int8_helps_where_it_is_said_to();
	bad_profiles_are_told();
	bad_tables_are_told();
	quoted_fields_are_read();
	the_registry_holds_what_pare_brings();
	devices_object();
	plugins_are_loaded_or_told();
	a_model_costs_what_its_list_of_layers_does();
	the_host_measures();
	pare_published_free(&published);
	pare_layer_table_free(&layers);
	a_network_with_an_unknown_node_has_no_time();
	a_network_of_open_axes_has_no_time();
	return tap_done();
}
