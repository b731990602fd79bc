#include "../../plugins/devices.h"
#include "cli.h"
#include "figures_json.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *plan_text;

static json_t *info_json(const struct pare_device_info *d)
{
	json_t *o = json_pack("{s:s s:s s:s s:s s:s s:i s:i s:o s:o s:b s:s s:s s:i}", "name",
		d->name, "class", d->class, "device", d->device, "runtime", d->runtime, "precision",
		d->precision, "threads", d->threads, "rows", d->rows, "error_model_out",
		cli_real_json(d->error_model_out), "error_family_out",
		cli_real_json(d->error_family_out), "measures", d->measures, "source", d->source,
		"rules", d->rules, "channels", d->channels);

	json_object_set_new(o, "takes",
		json_pack("{s:s s:s s:s s:s s:s}", "weights", d->takes_weights, "activations",
			d->takes_activations, "scales", d->takes_scales, "codes", d->takes_schemes,
			"ranges", d->takes_ranges));
	json_object_set_new(o, "saturates", json_string(d->saturates));
	return o;
}

json_t *cli_figures_json(const struct pare_device_figures *f)
{
	json_t *o = json_pack("{s:o s:o s:o s:s s:i}", "latency_ms",
		cli_real_json(f->latency_ms.value), "interval", cli_value_json(&f->latency_ms),
		"energy_mj", cli_real_json(f->energy_mj.value), "kind",
		pare_kind_name(f->latency_ms.kind), "fallbacks", f->n_fallbacks);

	json_object_set_new(o, "ram", f->ram < 0 ? json_null() : json_integer(f->ram));
	json_object_set_new(o, "flash", f->flash < 0 ? json_null() : json_integer(f->flash));
	json_object_set_new(o, "fits",
		f->fits == PARE_FITS_UNKNOWN ? json_null()
					     : json_boolean(f->fits == PARE_FITS_YES));
	json_object_set_new(o, "why", *f->why ? json_string(f->why) : json_null());
	return o;
}

/* As wide as the widest of a column; the heads are narrower. */
static void list_widths(const struct pare_devices *ds, int w[3])
{
	w[0] = w[1] = w[2] = 8;
	for (int i = 0; pare_devices_get(ds, i); i++) {
		const struct pare_device_info *d = pare_device_info(pare_devices_get(ds, i));
		const char *const text[] = { d->name, d->device, d->runtime };

		for (int k = 0; k < 3; k++)
			if ((int)strlen(text[k]) > w[k])
				w[k] = (int)strlen(text[k]);
	}
}

static int list(const struct pare_devices *ds)
{
	json_t *rows = cli_common.json ? json_array() : NULL;
	int w[3];

	list_widths(ds, w);
	if (!rows)
		printf("%-*s  %-5s  %-*s  %-*s  %4s  %s\n", w[0], "name", "class", w[1], "device",
			w[2], "runtime", "rows", "error, model / family left out");
	for (int i = 0; pare_devices_get(ds, i); i++) {
		const struct pare_device_info *d = pare_device_info(pare_devices_get(ds, i));
		char count[16] = "", error[40];

		if (rows) {
			json_array_append_new(rows, info_json(d));
			continue;
		}
		snprintf(error, sizeof error, "%s", d->measures ? "measures" : "not known");
		if (!isnan(d->error_model_out)) {
			snprintf(count, sizeof count, "%d", d->rows);
			snprintf(error, sizeof error, "%.0f %% / %.0f %%", d->error_model_out,
				d->error_family_out);
		}
		printf("%-*s  %-5s  %-*s  %-*s  %4s  %s\n", w[0], d->name, d->class, w[1],
			d->device, w[2], d->runtime, count, error);
	}
	for (int i = 0; pare_devices_problem(ds, i); i++)
		fprintf(stderr, "pare: %s\n", pare_devices_problem(ds, i));
	return rows ? cli_json(json_pack("{s:o}", "devices", rows), CLI_OK) : CLI_OK;
}

/* What it takes, where that is not everything. */
static void print_takes(const struct pare_device_info *d)
{
	const struct {
		const char *what, *list;
	} say[] = {
		{ "weights", d->takes_weights },
		{ "activations", d->takes_activations },
		{ "scales", d->takes_scales },
		{ "codes", d->takes_schemes },
		{ "ranges", d->takes_ranges },
	};

	for (size_t i = 0; i < sizeof say / sizeof *say; i++)
		if (*say[i].list)
			printf("takes      %s %s\n", say[i].what, say[i].list);
	if (pare_device_saturates(d))
		puts("saturates  sums of two products of uint8 activations and int8 weights");
}

static int show(const struct pare_device *dev)
{
	const struct pare_device_info *d = pare_device_info(dev);

	if (cli_common.json)
		return cli_json(info_json(d), CLI_OK);
	printf("name       %s\nclass      %s\ndevice     %s\nruntime    %s\nprecision  %s\nthreads "
	       "   %d\n",
		d->name, d->class, d->device, d->runtime, d->precision, d->threads);
	if (!isnan(d->error_model_out))
		printf("fitted on  %d published measurements\nerror      %.1f %% with a model left "
		       "out, %.1f %% with a "
		       "family left out (median)\n",
			d->rows, d->error_model_out, d->error_family_out);
	if (d->ram)
		printf("RAM        %" PRId64 " KiB\n", d->ram / 1024);
	if (d->flash)
		printf("flash      %" PRId64 " KiB\n", d->flash / 1024);
	if (d->channels > 1)
		printf("channels   multiples of %d\n", d->channels);
	print_takes(d);
	printf("source     %s\nrules      %s\n", d->source, d->rules);
	return CLI_OK;
}

/* A plan with every layer at the same formats: "int8" or "float32"; what `--formats` says. */
static struct pare_plan *uniform_plan(const struct pare_model *m, const char *format)
{
	struct pare_plan *p = pare_plan_new(pare_model_info(m)->n_layers);
	int f = pare_format_find(format);

	for (int i = 0; p && i < p->n; i++) {
		p->dials[i].weights = (uint8_t)f;
		if (pare_formats[f].uses & PARE_FOR_ACTIVATIONS && pare_formats[f].bits >= 8)
			p->dials[i].activations = (uint8_t)f;
	}
	return p;
}

static void print_figures(
	const struct pare_device_info *d, const char *format, const struct pare_device_figures *f)
{
	if (f->latency_ms.kind == PARE_UNKNOWN)
		printf("%s, %s: latency not known%s\n", d->name, format,
			d->measures ? ": it is measured, in the workbench or by pare apply" : "");
	else
		printf("%s, %s: %.3g ms (%.3g … %.3g), %s\n", d->name, format, f->latency_ms.value,
			f->latency_ms.lo, f->latency_ms.hi, pare_kind_name(f->latency_ms.kind));
	if (f->ram >= 0)
		printf("RAM        %.1f KiB\n", (double)f->ram / 1024);
	if (f->flash >= 0)
		printf("flash      %.1f KiB\n", (double)f->flash / 1024);
	if (f->fits)
		printf("fits       %s\n", f->fits == PARE_FITS_YES ? "yes" : "no");
	if (f->n_fallbacks)
		printf("not faster %d layer%s, the first: %s\n", f->n_fallbacks,
			f->n_fallbacks == 1 ? "" : "s", f->why);
	else if (*f->why)
		printf("note       %s\n", f->why);
}

static int predict(const struct pare_device *dev, const char *path)
{
	const struct pare_device_info *d = pare_device_info(dev);
	const char *format = plan_text ? plan_text : "float32";
	struct pare_device_figures f;
	struct pare_plan *p;
	struct pare_model *m;
	struct pare_err err;
	int code = CLI_OK;

	if (pare_format_find(format) < 0)
		return cli_usage(
			"'%s' is no number format; float32, int8 and int4 are, pare man lists all",
			format);
	if (pare_model_open(path, &m, &err))
		return cli_bad(&err);
	p = uniform_plan(m, format);
	if (!p)
		code = cli_usage("not enough memory");
	else if (pare_device_predict(dev, m, p, &f, &err))
		code = cli_bad(&err);
	else if (cli_common.json) {
		json_t *o = cli_figures_json(&f);

		json_object_set_new(o, "device", json_string(d->device));
		json_object_set_new(o, "runtime", json_string(d->runtime));
		json_object_set_new(o, "precision", json_string(format));
		code = cli_json(o, CLI_OK);
	} else
		print_figures(d, format, &f);
	pare_plan_free(p);
	pare_model_free(m);
	return code;
}

static int with_device(const struct cli_args *a, const struct pare_devices *ds)
{
	const struct pare_device *dev = pare_devices_find(ds, a->word[1]);

	if (!dev)
		return cli_usage(
			"no device is called '%s'; pare device list shows all", a->word[1]);
	if (!strcmp(a->word[0], "show") && a->n == 2)
		return show(dev);
	if (!strcmp(a->word[0], "predict") && a->n == 3)
		return predict(dev, a->word[2]);
	return cli_usage(
		"usage: pare device list | show NAME | predict NAME MODEL [--formats FORMAT]");
}

static int run_device(const struct cli_args *a)
{
	struct pare_devices *ds;
	struct pare_err err;
	int code;

	if (pare_devices_load(&ds, &err))
		return cli_bad(&err);
	if (!a->n || (!strcmp(a->word[0], "list") && a->n == 1))
		code = list(ds);
	else if (a->n > 1)
		code = with_device(a, ds);
	else
		code = cli_usage("usage: pare device list | show NAME | predict NAME MODEL");
	pare_devices_free(ds);
	return code;
}

static const struct cli_option options[] = {
	{ "--formats", "FORMAT", "predict: every layer in this format (float32, int8, …)",
		&plan_text, NULL },
	{ 0 },
};

const struct cli_command cli_device = {
	.name = "device",
	.args = "[list | show NAME | predict NAME MODEL]",
	.help = "devices: list (or nothing) names them, show NAME says where its figures come "
		"from, "
		"predict NAME MODEL what a model costs there",
	.options = options,
	.min_words = 0,
	.max_words = 3,
	.run = run_device,
};
