/* Tables of published measurements and layers, as CSV (RFC 4180, no line breaks in fields). */
#ifndef PARE_PUBLISHED_H
#define PARE_PUBLISHED_H
#include "device.h"
#include "devices.h"

enum { PARE_CSV_FIELDS = 32 };
struct pare_csv { /* one file in memory, read line by line; fields point into it */
	const char *path;
	char *text, *at;
	int line, n;
	char *field[PARE_CSV_FIELDS];
	int n_columns;
	char *column[PARE_CSV_FIELDS];
};
PARE_MUST_CHECK enum pare_status
pare_csv_open(const char *path, struct pare_csv *out, struct pare_err *err);
void pare_csv_close(struct pare_csv *c);
/* Next line; false at the end, or with an error in `err` (then *st is set). */
bool pare_csv_next(struct pare_csv *c, enum pare_status *st, struct pare_err *err);
/* Column of a header's name; PARE_E_FORMAT when the file has none. */
PARE_MUST_CHECK enum pare_status
pare_csv_column(const struct pare_csv *c, const char *name, int *out, struct pare_err *err);
/* A number >= 0; NaN when the field is empty.  PARE_E_FORMAT names the line. */
PARE_MUST_CHECK enum pare_status
pare_csv_number(const struct pare_csv *c, int column, double *out, struct pare_err *err);

/* layers.csv: model,i,type,macs,params,in_elems,out_elems,k,groups; the lines of a model lie
 * together. */
struct pare_layer_table {
	struct pare_csv csv; /* keeps the strings */
	struct pare_plugin_layer *layers;
	int n_models;
	struct pare_layer_table_model {
		const char *model;
		int64_t first, n;
	} * models;
};
PARE_MUST_CHECK enum pare_status
pare_layer_table_read(const char *path, struct pare_layer_table *out, struct pare_err *err);
void pare_layer_table_free(struct pare_layer_table *t);
/* The network of that name; the formats of its layers are not said (""), so that a device takes the
 * precision that it is listed as.  false: not in the table. */
bool pare_layer_table_find(
	const struct pare_layer_table *t, const char *model, struct pare_plugin_work *out);

/* measured.csv: device,runtime,model,precision,threads,latency_ms,energy_mJ,ram_KiB,flash_KiB and
 * family (models of one family are left out together; without the column each is its own). */
struct pare_published_row {
	const char *device, *runtime, *model, *family, *precision, *threads;
	double latency_ms, energy_mj, ram, flash; /* ram, flash in bytes; NaN = not said */
};
struct pare_published {
	struct pare_csv csv; /* keeps the strings */
	struct pare_published_row *rows;
	int n;
};
PARE_MUST_CHECK enum pare_status
pare_published_read(const char *path, struct pare_published *out, struct pare_err *err);
void pare_published_free(struct pare_published *p);

#endif
