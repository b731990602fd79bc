/* Tables of published measurements and layers, as CSV (RFC 4180, no line breaks in fields). */
#ifndef PARE_PUBLISHED_H
#define PARE_PUBLISHED_H
#include "device.h"
#include "devices.h"

enum { CSV_FIELDS = 32 };
struct csv { /* one file in memory, read line by line; fields point into it */
	const char *path;
	char *text, *at;
	int line, n;
	char *field[CSV_FIELDS];
	int n_columns;
	char *column[CSV_FIELDS];
};
PARE_MUST_CHECK enum pare_status csv_open(const char *path, struct csv *out, struct pare_err *err);
void csv_close(struct csv *c);
/* Next line; false at the end, or with an error in `err` (then *st is set). */
bool csv_next(struct csv *c, enum pare_status *st, struct pare_err *err);
/* Column of a header's name; PARE_E_FORMAT when the file has none. */
PARE_MUST_CHECK enum pare_status
csv_column(const struct csv *c, const char *name, int *out, struct pare_err *err);
/* A number >= 0; NaN when the field is empty.  PARE_E_FORMAT names the line. */
PARE_MUST_CHECK enum pare_status
csv_number(const struct csv *c, int column, double *out, struct pare_err *err);

/* layers.csv: model,i,type,macs,params,in_elems,out_elems,k,groups; the lines of a model lie
 * together. */
struct layer_table {
	struct csv csv; /* keeps the strings */
	struct pare_plugin_layer *layers;
	int n_models;
	struct layer_table_model {
		const char *model;
		int64_t first, n;
	} * models;
};
PARE_MUST_CHECK enum pare_status
layer_table_read(const char *path, struct layer_table *out, struct pare_err *err);
void layer_table_free(struct layer_table *t);
/* The network of that name; the formats of its layers are not said (""), so that a device takes the
 * precision that it is listed as.  false: not in the table. */
bool layer_table_find(const struct layer_table *t, const char *model, struct pare_plugin_work *out);

/* measured.csv: device,runtime,model,precision,threads,latency_ms,energy_mJ,ram_KiB,flash_KiB and
 * family (models of one family are left out together; without the column each is its own). */
struct published_row {
	const char *device, *runtime, *model, *family, *precision, *threads;
	double latency_ms, energy_mj, ram, flash; /* ram, flash in bytes; NaN = not said */
};
struct published {
	struct csv csv; /* keeps the strings */
	struct published_row *rows;
	int n;
};
PARE_MUST_CHECK enum pare_status
published_read(const char *path, struct published *out, struct pare_err *err);
void published_free(struct published *p);

#endif
