/* Datasets: what they make of stored samples, and what they refuse. */
#include "engine/base/pool.h"
#include "tests/unit/data_files.h"
#include <math.h>

static uint8_t bytes[2000];
static const uint8_t labels[20] = { 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1 };

/* Twenty samples of 3x4x2 bytes with labels below 3, here as x.npy and y.npy. */
static void put_samples(void)
{
	for (int i = 0; i < (int)sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 37 + i / 256);
	put_npy("x.npy", "|u1", "(20, 3, 4, 2)", bytes, 480);
	put_npy("y.npy", "|u1", "(20,)", labels, 20);
}

static bool range_is(const struct pare_dataset *d, int a, int b, int c, int e)
{
	const struct pare_dataset_info *i = pare_dataset_info(d);

	return i->calibrate_from == a && i->calibrate_to == b && i->evaluate_from == c &&
	       i->evaluate_to == e && i->n_calibrate == b - a && i->n_evaluate == e - c;
}

static void a_folder_opens(void)
{
	struct pare_dataset *d = opens(folder, MODEL(3, -1, 3, 4, 2), "a folder with x.npy, y.npy");
	const struct pare_dataset_info *i = pare_dataset_info(d);
	float out[2 * 24];
	bool same = true;

	ok(range_is(d, 0, 4, 4, 20), "the first fifth calibrates, the rest evaluates");
	ok(i->labelled && i->measure == PARE_TOP1 && i->n_classes == 3, "labels, top-1, 3 classes");
	ok(i->sample[0].n == 4 && i->sample[0].d[0] == 1 && i->sample[0].d[1] == 3,
		"a sample is 1x3x4x2");
	ok(!strcmp(i->name, strrchr(folder, '/') + 1), "it is called as its folder");
	pare_dataset_read(d, PARE_EVALUATE, 3, 2, out);
	for (int k = 0; k < 48; k++)
		same &= out[k] == (float)bytes[7 * 24 + k];
	ok(same && pare_dataset_label(d, PARE_EVALUATE, 3) == labels[7],
		"evaluation sample 3 is sample 7 as stored");
	ok(!strcmp(pare_dataset_class(d, 2), "2"), "a class without a name is its number");
	pare_dataset_free(d);
}

static void inputs_follow_the_formula(void)
{
	static const float mean[] = { 0.4f, 0.5f, 0.6f }, std[] = { 0.2f, 0.25f, 0.3f };
	struct pare_dataset *d;
	float out[20 * 24], turned[20 * 24];
	bool same = true;

	put_text("a.conf",
		"# comment\n samples x.npy \r\nlabels\ty.npy\n\nscale 0.00392156862745098 # 1/255\n"
		"mean 0.4 0.5 0.6\nstd 0.2 0.25 0.3\nsplit evaluate :\nsplit calibrate 0:0\n");
	refuses(in_folder("a.conf"), NULL, PARE_E_FORMAT,
		":9:", "a key given twice names its line");
	put_text("a.conf",
		"samples \"x.npy\"\nlabels y.npy\nscale 0.00392156862745098\nmean 0.4 0.5 0.6\n"
		"std 0.2 0.25 0.3\nsplit calibrate 0:0 evaluate :\nclasses a \"b c\" d\n");
	d = opens(in_folder("a.conf"), MODEL(3, 1, 3, 4, 2), "a data.conf");
	pare_dataset_read(d, PARE_EVALUATE, 0, 20, out);
	for (int i = 0; i < 480; i++) {
		int c = i / 8 % 3;
		volatile float scaled = (float)bytes[i] * (float)0.00392156862745098;

		same &= out[i] == (scaled - mean[c]) / std[c];
	}
	ok(same, "input = (x * scale - mean) / std of its channel");
	ok(!strcmp(pare_dataset_class(d, 1), "b c"), "names of classes may be quoted");
	pare_dataset_free(d);

	/* the same numbers as floats with channels last: another way through the reader */
	float nhwc[480];
	for (int n = 0; n < 20; n++)
		for (int c = 0; c < 3; c++)
			for (int p = 0; p < 8; p++)
				nhwc[(n * 8 + p) * 3 + c] = bytes[(n * 3 + c) * 8 + p];
	put_npy("nhwc.npy", "<f4", "(20, 4, 2, 3)", nhwc, sizeof nhwc);
	put_text("b.conf", "samples nhwc.npy\nscale 0.00392156862745098\nmean 0.4 0.5 0.6\n"
			   "std 0.2 0.25 0.3\nsplit evaluate 0: calibrate 0:0\nlayout nhwc\n");
	d = opens(in_folder("b.conf"), MODEL(3, 1, 3, 4, 2), "layout nhwc");
	pare_dataset_read(d, PARE_EVALUATE, 0, 20, turned);
	ok(!memcmp(out, turned, sizeof out), "floats with channels last give the same inputs");
	ok(pare_dataset_info(d)->measure == PARE_FIDELITY &&
			pare_dataset_label(d, PARE_EVALUATE, 0) == -1,
		"without labels the measure is fidelity");
	pare_dataset_free(d);
	refuses(in_folder("nhwc.npy"), MODEL(3, 1, 3, 4, 2), PARE_E_MISMATCH, "layout nhwc",
		"channels at the wrong end are named");
}

static void confs_with_errors_are_refused(void)
{
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "samples x.npy\nlabls y.npy\n",
			":2: 'labls' is not known; did you mean 'labels'" },
		{ "sample x.npy\n", "'samples'" },
		{ "samples x.npy\nmean 1 two\n", ":2: 'two' is not a number" },
		{ "samples x.npy\nmean 1 2 3 4 5\n", "3 channels" },
		{ "samples x.npy\nmean 1 2 3\nstd 1 2\n", "must be as many" },
		{ "samples x.npy\nstd 0\n", ":2: std" },
		{ "samples x.npy\nscale\n", ":2: write: scale NUMBER" },
		{ "samples x.npy\nscale 1 2\n", ":2: write: scale NUMBER" },
		{ "samples x.npy\nscale nan\n", ":2: 'nan' is not a number" },
		{ "samples x.npy\nlayout hwc\n", ":2: layout" },
		{ "samples x.npy\nmetric auc\n", ":2: metric is top1 or fidelity" },
		{ "samples x.npy\nmetric top1\n", "needs labels" },
		{ "samples x.npy\nsplit train 0:3\n", ":2: 'train'" },
		{ "samples x.npy\nsplit calibrate 5\n", "FROM:TO" },
		{ "samples x.npy\nsplit calibrate 5:2\n", "FROM:TO" },
		{ "samples x.npy\nsplit calibrate 0:5 evaluate 4:\n", "share samples" },
		{ "samples x.npy\nsplit evaluate 0:21\n", "not within its 20 samples" },
		{ "samples x.npy\nsplit evaluate 4:4\n", "no sample to evaluate" },
		{ "samples \"x.npy\n", ":1: a quote" },
		{ "samples a.conf\n", "is itself a data.conf" },
		{ "# nothing\n", "no line 'samples" },
		{ "samples x.npy\nlabels y.npy\nclasses a b\n", "there are 2 classes" },
		{ "samples x.npy\ntrain small.npy\n", "must be alike" },
		{ "samples x.npy\nlabels x.npy\n", "a label is one class number" },
	};

	put_npy("small.npy", "|u1", "(5, 3, 2, 2)", bytes, 60);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pare_err err = { 0 };
		struct pare_dataset *d = NULL;

		put_text("bad.conf", bad[i].text);
		if (!ok(pare_dataset_open(in_folder("bad.conf"), NULL, &d, &err) && !d &&
				    strstr(err.text, bad[i].word),
			    "refused: %s", bad[i].word))
			printf("#   %s\n", err.text);
		pare_dataset_free(d);
	}
	put_text("bad.conf", "samples none.npy\n");
	refuses(in_folder("bad.conf"), NULL, PARE_E_IO, "none.npy", "a missing file is named");
	put("bad.conf", "samples\0x", 9);
	refuses(in_folder("bad.conf"), NULL, PARE_E_FORMAT, "text", "a conf of bytes");
}

static void shapes_fit_or_are_refused(void)
{
	const char *gray = put_npy("gray.npy", "|u1", "(10, 4, 6)", bytes, 240);
	const char *flat = put_npy("flat.npy", "|u1", "(10, 24)", bytes, 240);
	struct pare_dataset *d;
	float a[240], b[240];

	d = opens(gray, MODEL(3, 1, 1, 4, 6), "[N,H,W] fits [1,1,H,W]");
	ok(pare_dataset_info(d)->sample[0].n == 4, "and becomes it");
	pare_dataset_free(d);
	d = opens(gray, MODEL(3, -1, 1, -1, -1), "height and width left open");
	ok(pare_dataset_info(d)->sample[0].d[3] == 6, "take the data's");
	pare_dataset_read(d, PARE_EVALUATE, 0, 8, a);
	pare_dataset_free(d);
	pare_dataset_free(opens(gray, MODEL(3, -1, 24), "images fit a flat input"));
	d = opens(flat, MODEL(3, -1, 1, 4, 6), "flat features fit an image input");
	pare_dataset_read(d, PARE_EVALUATE, 0, 8, b);
	ok(!memcmp(a, b, 192 * sizeof *a), "in the same order");
	pare_dataset_free(d);
	refuses(gray, MODEL(3, -1, 3, 4, 6), PARE_E_MISMATCH,
		"a sample is 4x6, but the model's input "
		"'image' takes 3x4x6",
		"a misfit tells both shapes");
	refuses(gray, MODEL(3, -1, 1, 6, 4), PARE_E_MISMATCH, "takes 1x6x4", "turned images");
	refuses(in_folder("y.npy"), MODEL(3, -1, 20), PARE_E_MISMATCH, "one number", "scalars");
	refuses(put_npy("none.npy", "|u1", "(0, 4)", bytes, 0), NULL, PARE_E_FORMAT, "no samples",
		"an empty array");
	refuses(put_npy("none.npy", "|u1", "(4, 0)", bytes, 0), NULL, PARE_E_FORMAT,
		"samples are empty", "empty samples");
}

static void labels_are_checked(void)
{
	static const struct {
		const char *descr, *shape;
		int64_t at7;
		const char *word;
	} bad[] = {
		{ "<i8", "(20,)", 3, "the label of sample 7 is 3, but there are 3 classes" },
		{ "<i8", "(20,)", -1, "the label of sample 7 is -1, but there are 3 classes" },
		{ "<i8", "(20,)", INT64_MAX, "sample 7" },
		{ "<i8", "(19,)", 0, "19 labels for 20 samples" },
		{ "<f8", "(20,)", 0x3fe0000000000000, "sample 7 is 0.5" },
		{ "<f8", "(20,)", 0x7ff8000000000000, "sample 7 is nan" },
	};
	int64_t y[20] = { 0 };

	put_text("l.conf", "samples x.npy\nlabels l.npy\n");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		y[7] = bad[i].at7;
		put_npy("l.npy", bad[i].descr, bad[i].shape, y, sizeof y);
		refuses(in_folder("l.conf"), MODEL(3, 1, 3, 4, 2), PARE_E_MISMATCH, bad[i].word,
			bad[i].word);
	}
	y[7] = 2;
	put_npy("l.npy", "<i8", "(20, 1)", y, sizeof y);
	pare_dataset_free(
		opens(in_folder("l.conf"), MODEL(3, 1, 3, 4, 2), "labels may be a column"));
}

static void splits_never_share(void)
{
	struct pare_dataset *d = opens(folder, NULL, "without a model");
	struct pare_err err = { 0 };

	ok(!pare_dataset_set_split(d, PARE_CALIBRATE, 10, 12, &err) && range_is(d, 10, 12, 12, 20),
		"the split that was not set gives way");
	ok(!pare_dataset_set_split(d, PARE_EVALUATE, 0, 10, &err) && range_is(d, 10, 12, 0, 10),
		"then it is set itself");
	ok(pare_dataset_set_split(d, PARE_EVALUATE, 0, 11, &err) == PARE_E_MISMATCH &&
			strstr(err.text, "share") && range_is(d, 10, 12, 0, 10),
		"two set splits may not share samples; nothing changed");
	ok(pare_dataset_set_split(d, PARE_EVALUATE, 0, 21, &err) == PARE_E_MISMATCH &&
			pare_dataset_set_split(d, PARE_CALIBRATE, 5, 4, &err) == PARE_E_MISMATCH,
		"bounds are checked");
	ok(!pare_dataset_set_split(d, PARE_EVALUATE, -1, 9, &err) && range_is(d, 10, 12, 0, 9),
		"-1 leaves a bound as it was");
	pare_dataset_free(d);

	put_text("t.conf", "samples x.npy\nlabels y.npy\ntrain x.npy y.npy\n");
	d = opens(in_folder("t.conf"), NULL, "a train set");
	ok(range_is(d, 0, 20, 0, 20), "all of a small train set calibrates, all samples evaluate");
	pare_dataset_free(d);
	put_text("t.conf", "samples x.npy\nsplit evaluate 5:\n");
	d = opens(in_folder("t.conf"), NULL, "one part of the split");
	ok(range_is(d, 0, 5, 5, 20), "the other is what is left");
	pare_dataset_free(d);
}

static void the_hash_tells_what_matters(void)
{
	char was[PARE_SHA_HEX];
	struct pare_dataset *d = opens(folder, NULL, "as before");
	struct pare_err err = { 0 };

	strcpy(was, pare_dataset_info(d)->sha256);
	ok(strlen(was) == 64 && !pare_dataset_set_split(d, PARE_CALIBRATE, 0, 1, &err) &&
			!strcmp(was, pare_dataset_info(d)->sha256),
		"a split does not change the hash");
	pare_dataset_free(d);
	put_text("h.conf", "samples x.npy\nlabels y.npy\n");
	d = opens(in_folder("h.conf"), NULL, "through a conf");
	ok(!strcmp(was, pare_dataset_info(d)->sha256), "nor does the way to the same samples");
	pare_dataset_free(d);
	put_text("h.conf", "samples x.npy\nlabels y.npy\nscale 0.5\n");
	d = opens(in_folder("h.conf"), NULL, "scaled");
	ok(strcmp(was, pare_dataset_info(d)->sha256) != 0, "other inputs do");
	pare_dataset_free(d);
	bytes[479] ^= 1;
	put_npy("x.npy", "|u1", "(20, 3, 4, 2)", bytes, 480);
	d = opens(folder, NULL, "the last bit of the last sample turned");
	ok(strcmp(was, pare_dataset_info(d)->sha256) != 0, "so does a bit");
	pare_dataset_free(d);
}

static void memory_may_run_out(void)
{
	struct pare_err err;
	struct pare_dataset *d = NULL;
	int k = 0;
	enum pare_status st;

	do {
		pare_alloc_fail_after(++k);
		st = pare_dataset_open(in_folder("a.conf"), NULL, &d, &err);
		pare_alloc_fail_after(0);
	} while (st == PARE_E_NOMEM && !d && k < 10000);
	ok_status(st, err, "each of %d allocations may fail: never more than PARE_E_NOMEM", k - 1);
	ok(k > 2, "some did");
	pare_dataset_free(d);
}

struct reading {
	const struct pare_dataset *d;
	float *out;
	int64_t elems;
};

static enum pare_status read_chunk(void *ctx, int chunk, int worker, struct pare_err *err)
{
	struct reading *r = ctx;

	(void)worker;
	(void)err;
	pare_dataset_read(r->d, PARE_EVALUATE, chunk * 10, 10, r->out + chunk * 10 * r->elems);
	return PARE_OK;
}

static void the_example_is_fashion_mnist(void)
{
	struct pare_progress_span none = { 0, 0 };
	const struct pare_model *m = MODEL(10, -1, 1, 28, 28);
	struct pare_dataset *d = opens("examples/fashion", m, "the example opens"), *full;
	struct pare_err err = { 0 };
	int64_t n = pare_dataset_info(d)->n_evaluate, elems = 784;
	float *a = malloc((size_t)(n * elems) * sizeof *a),
	      *b = malloc((size_t)(n * elems) * sizeof *b);
	struct reading r = { d, a, elems };
	bool same = true;

	ok(n >= 2000 && pare_dataset_info(d)->n_calibrate == 512, "2,000 images and 512 more");
	ok(!pare_parallel((int)n / 10, read_chunk, &r, NULL, none, &err), "several threads read");
	if (access("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz", R_OK)) {
		tap_skip("the package's images", "dataset-fashion-mnist is not installed");
	} else {
		full = opens("examples/fashion/full.conf", m, "all of it opens");
		ok(range_is(full, 0, 512, 0, 10000), "10,000 images evaluate");
		pare_dataset_read(full, PARE_EVALUATE, 0, n, b);
		for (int64_t i = 0; i < n; i++)
			same &= pare_dataset_label(d, PARE_EVALUATE, i) ==
				pare_dataset_label(full, PARE_EVALUATE, i);
		ok(same && !memcmp(a, b, (size_t)(n * elems) * sizeof *a),
			"the example's are the first of them");
		pare_dataset_free(full);
	}
	free(a);
	free(b);
	pare_dataset_free(d);
}

static void shared_networks_have_their_data(void)
{
	const char *shared = getenv("PARE_SHARED");
	char path[512];
	struct pare_dataset *d;

	snprintf(path, sizeof path, "%s/models/resnet20", shared ? shared : "../shared");
	if (access(path, R_OK)) {
		tap_skip("resnet20's data", "no shared models here");
		return;
	}
	d = opens(path, MODEL(10, -1, 3, 32, 32), "resnet20's data.conf");
	ok(range_is(d, 0, 512, 0, 8000), "512 training images calibrate, 8,000 evaluate");
	ok(!strcmp(pare_dataset_class(d, 9), "truck"), "its classes have names");
	pare_dataset_free(d);
}

int main(void)
{
	new_folder();
	put_samples();
	a_folder_opens();
	inputs_follow_the_formula();
	confs_with_errors_are_refused();
	shapes_fit_or_are_refused();
	labels_are_checked();
	splits_never_share();
	memory_may_run_out();
	the_hash_tells_what_matters();
	the_example_is_fashion_mnist();
	shared_networks_have_their_data();
	remove_folder();
	return tap_done();
}
