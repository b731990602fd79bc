#include "plugins/profile.h"
#include "tests/tap.h"
#include <math.h>

static const char *const profiles[] = { "cortex-m7-cubeai", "jetson-nano-tensorrt",
	"raspberry-pi-4-ncnn", "raspberry-pi-4-tflite", "snapdragon-8-gen-3" };
enum { N_PROFILES = sizeof profiles / sizeof *profiles };

static struct published published;
static struct layer_table layers;

static void profile_path(char *buf, size_t len, const char *name)
{
	snprintf(buf, len, "plugins/profiles/%s.profile", name);
}

/* The committed profiles are what the committed measurements say; PARE_REFIT=1 writes them anew. */
static void profiles_come_from_published_rows(void)
{
	for (int i = 0; i < N_PROFILES; i++) {
		struct profile p;
		struct pare_err err = { 0 };
		char path[256], *text = NULL, was[16384] = "";
		size_t len, n = 0;
		FILE *f;

		profile_path(path, sizeof path, profiles[i]);
		if (!ok(!profile_read(path, &p, &err) &&
				    !profile_fit(&p, &published, &layers, &err),
			    "%s is read and fitted", profiles[i])) {
			printf("#   %s\n", err.text);
			continue;
		}
		f = open_memstream(&text, &len);
		profile_write(&p, f);
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

/* ---- predictions by hand -----------------------------------------------------------------------
 */

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
static enum pare_status profile_from(const char *text, struct profile *p, struct pare_err *err)
{
	char path[] = "/tmp/pare-profile-XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	enum pare_status st;

	if (!f)
		return PARE_E_IO;
	fputs(text, f);
	fclose(f);
	st = profile_read(path, p, err);
	remove(path);
	return st;
}

static struct pare_plugin_layer net[] = {
	{ "conv", "Conv", PARE_WORK_CONV, 0, 1000, 50, 100, 200, 3, 8, 3, 1, 1, "float32",
		"float32", 32, 32, 0 },
	{ "relu", "Relu", PARE_WORK_FREE, -1, 0, 0, 200, 200, 8, 8, 1, 1, 1, "float32", "float32",
		32, 32, 0 },
	{ "pool", "MaxPool", PARE_WORK_OTHER, -1, 0, 0, 200, 50, 8, 8, 2, 2, 1, "float32",
		"float32", 32, 32, 0 },
	{ "fc", "Gemm", PARE_WORK_DENSE, 1, 500, 510, 50, 10, 0, 0, 1, 1, 1, "float32", "float32",
		32, 32, 0 },
};
static const struct pare_plugin_work work = { sizeof work, sizeof *net, 4, net };

static struct pare_plugin_figures figures(const struct profile *p)
{
	struct pare_plugin_figures f = { .size = sizeof f,
		.latency_ms = (double)NAN,
		.energy_mj = (double)NAN,
		.ram = -1,
		.flash = -1 };

	profile_predict(p, &work, &f);
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
	struct profile p;
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
			!strcmp(f.why,
				"fc: int4 weights with int8 activations run as int8, no faster"),
		"int4 gains nothing over int8, and that is told: %s", f.why);

	formats(3, "int8", 8, "float32", 32);
	f = figures(&p);
	ok(near(f.latency_ms, (conv8 + pool8 + fc + 100 + 50 * 5 + 4000) * 1e-6) &&
			f.n_fallbacks == 1 &&
			!strcmp(f.why, "fc: int8 weights run as fp32, no faster"),
		"int8 weights alone run as float, after a conversion: %s", f.why);
	ok(near(f.latency_hi, 1.5 * f.latency_ms), "the wider band holds");

	formats(0, "float32", 32, "float32", 32);
	formats(3, "float32", 32, "float32", 32);
	net[0].sparsity = 0.5;
	f = figures(&p);
	ok(near(f.latency_ms, (conv + pool + fc + 5000) * 1e-6) && f.n_fallbacks == 1 &&
			!strcmp(f.why, "conv: 50% zeros run as dense weights, no faster"),
		"zeros gain nothing: %s", f.why);
	net[0].sparsity = 0;
}

static void a_device_without_float_says_so(void)
{
	struct profile p;
	struct pare_err err = { 0 };
	struct pare_plugin_figures f;

	ok_status(profile_from("pare-profile 1\nname t\nclass npu\ndevice d\nruntime r\nsource s\n"
			       "rules u\nprecision int8\nweights int8\nactivations int8\nband 2\n"
			       "rate conv 1\n",
			  &p, &err),
		err, "a profile of int8 alone is read");
	f = figures(&p);
	ok(isnan(f.latency_ms) && f.n_fallbacks == 2 &&
			!strcmp(f.why, "conv: float32 weights do not run there"),
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

	if (!ok(layer_table_find(&layers, "tv_resnet18", &resnet), "ResNet-18 is in the table"))
		return;
	copy = malloc((size_t)resnet.n_layers * sizeof *copy);
	if (!copy)
		return;
	memcpy(copy, resnet.layers, (size_t)resnet.n_layers * sizeof *copy);
	resnet.layers = copy;
	for (size_t i = 0; i < sizeof gain / sizeof *gain; i++) {
		struct pare_plugin_figures f = { 0 }, q = { 0 };
		struct pare_err err = { 0 };
		struct profile p;
		char path[256];

		profile_path(path, sizeof path, gain[i].name);
		if (!ok(!profile_read(path, &p, &err), "%s", gain[i].name))
			continue;
		for (int bits = 32; bits >= 8; bits -= 24) {
			for (int64_t l = 0; l < resnet.n_layers; l++) {
				copy[l].weights = copy[l].activations =
					bits == 8 ? "int8" : "float32";
				copy[l].weight_bits = copy[l].activation_bits = bits;
			}
			profile_predict(&p, &resnet, bits == 8 ? &q : &f);
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
		struct profile p;
		struct pare_err err = { 0 };

		ok(profile_from(bad[i].text, &p, &err) == PARE_E_FORMAT &&
				strstr(err.text, bad[i].says),
			"refused: %s", strrchr(err.text, '/') ? strrchr(err.text, '/') : err.text);
	}
}

int main(void)
{
	struct pare_err err = { 0 };

	ok_status(published_read("plugins/published/measured.csv", &published, &err), err,
		"published measurements are read");
	ok_status(layer_table_read("plugins/published/layers.csv", &layers, &err), err,
		"published layers are read");
	profiles_come_from_published_rows();
	dials_move_the_latency();
	a_device_without_float_says_so();
	int8_helps_where_it_is_said_to();
	bad_profiles_are_told();
	published_free(&published);
	layer_table_free(&layers);
	return tap_done();
}
