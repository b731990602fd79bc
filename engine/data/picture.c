/* Image files: PNG through libpng's simplified reader, JPEG through libjpeg. */
#include "../base/err.h"
#include "data.h"
#include <errno.h>
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* jpeglib.h needs stdio.h before it */
#include <jpeglib.h>

enum { EDGE_MAX = 1 << 15, PIXELS_MAX = 1 << 28 };

struct raw { /* [h][w][c], malloc'ed */
	int c, h, w;
	unsigned char *data;
};

static enum pare_status
check_size(const char *path, unsigned long w, unsigned long h, struct pare_err *err)
{
	if (w >= 1 && h >= 1 && w <= EDGE_MAX && h <= EDGE_MAX && w * h <= PIXELS_MAX)
		return PARE_OK;
	return pare_fail(err, PARE_E_FORMAT, "%s: claims %lux%lu pixels", path, w, h);
}

/* Colours to their luma (ITU-R BT.601), in place: what JPEG keeps and PIL makes, while libpng would
 * weigh them in linear light. */
static void to_gray(struct raw *r)
{
	size_t n = (size_t)r->h * (size_t)r->w;

	for (size_t i = 0; i < n; i++) {
		const unsigned char *p = r->data + 3 * i;

		r->data[i] = (unsigned char)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] +
						     (1u << 15)) >>
					     16);
	}
	r->c = 1;
}

/* c: 1 or 3 to convert, 0 = as the file is.  Pixels are read when `pixels`. */
static enum pare_status
read_png(const char *path, int c, bool pixels, struct raw *out, struct pare_err *err)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	png_color black = { 0, 0, 0 }; /* what shines through where the image is transparent */
	enum pare_status st;
	bool colour;

	if (!png_image_begin_read_from_file(&image, path))
		return pare_fail(err, PARE_E_FORMAT, "%s: %s", path, image.message);
	st = check_size(path, image.width, image.height, err);
	colour = image.format & PNG_FORMAT_FLAG_COLOR;
	out->c = colour || c == 3 ? 3 : 1;
	out->h = (int)image.height;
	out->w = (int)image.width;
	image.format = out->c == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
	if (!st && pixels) {
		out->data = malloc(PNG_IMAGE_SIZE(image));
		if (!out->data)
			st = pare_nomem(err, path);
		else if (!png_image_finish_read(&image, &black, out->data, 0, NULL))
			st = pare_fail(err, PARE_E_FORMAT, "%s: %s", path, image.message);
	}
	png_image_free(&image);
	if (!st && pixels && c == 1 && colour)
		to_gray(out);
	return st;
}

/* libjpeg leaves no other way to survive an error than to jump out of it. */
struct jpeg_trap {
	struct jpeg_error_mgr mgr; /* first: libjpeg knows only this */
	jmp_buf out;
	char message[JMSG_LENGTH_MAX];
};

static void jpeg_jump(j_common_ptr cinfo)
{
	struct jpeg_trap *trap = (struct jpeg_trap *)cinfo->err;

	cinfo->err->format_message(cinfo, trap->message);
	longjmp(trap->out, 1);
}

static void jpeg_silent(j_common_ptr cinfo, int level)
{
	if (level < 0) /* a warning means damaged data */
		cinfo->err->num_warnings++;
}

/* Between setjmp and its return no local changes but through pointers. */
static enum pare_status decode_jpeg(struct jpeg_decompress_struct *j, const char *path, FILE *f,
	int c, bool pixels, struct raw *out, struct pare_err *err)
{
	enum pare_status st;

	jpeg_create_decompress(j);
	jpeg_stdio_src(j, f);
	jpeg_read_header(j, TRUE);
	if ((st = check_size(path, j->image_width, j->image_height, err)))
		return st;
	out->c = c ? c : j->num_components == 1 ? 1 : 3;
	out->h = (int)j->image_height;
	out->w = (int)j->image_width;
	if (!pixels)
		return PARE_OK;
	j->out_color_space = out->c == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg_start_decompress(j);
	if (!(out->data = malloc((size_t)out->h * (size_t)out->w * (size_t)out->c)))
		return pare_nomem(err, path);
	while (j->output_scanline < j->output_height) {
		JSAMPROW row =
			out->data + (size_t)j->output_scanline * (size_t)out->w * (size_t)out->c;

		jpeg_read_scanlines(j, &row, 1);
	}
	jpeg_finish_decompress(j);
	if (j->err->num_warnings)
		return pare_fail(err, PARE_E_FORMAT, "%s: is cut short or damaged", path);
	return PARE_OK;
}

static enum pare_status
read_jpeg(const char *path, int c, bool pixels, struct raw *out, struct pare_err *err)
{
	struct jpeg_decompress_struct j = { .err = NULL };
	struct jpeg_trap trap;
	FILE *f = fopen(path, "rbe");
	enum pare_status st;

	if (!f)
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	j.err = jpeg_std_error(&trap.mgr);
	trap.mgr.error_exit = jpeg_jump;
	trap.mgr.emit_message = jpeg_silent;
	if (setjmp(trap.out))
		st = pare_fail(err, PARE_E_FORMAT, "%s: %s", path, trap.message);
	else
		st = decode_jpeg(&j, path, f, c, pixels, out, err);
	jpeg_destroy_decompress(&j);
	fclose(f);
	return st;
}

static enum pare_status
read_any(const char *path, int c, bool pixels, struct raw *out, struct pare_err *err)
{
	unsigned char head[2] = { 0, 0 };
	FILE *f = fopen(path, "rbe");

	if (!f)
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	if (fread(head, 1, 2, f) != 2)
		head[0] = 0;
	fclose(f);
	/* by what is in it: many a .jpg is a PNG */
	return head[0] == 0xff && head[1] == 0xd8 ? read_jpeg(path, c, pixels, out, err)
						  : read_png(path, c, pixels, out, err);
}

enum pare_status data_picture_size(const char *path, struct data_picture *out, struct pare_err *err)
{
	struct raw r = { 0 };
	enum pare_status st = read_any(path, 0, false, &r, err);

	if (!st)
		*out = (struct data_picture){ r.c, r.h, r.w };
	return st;
}

/* Bilinear weights from n_in to n_out positions; when shrinking the triangle widens with the step,
 * so that every pixel counts.  from[o], n[o]: the inputs of output o; weight[o * room + i]. */
struct taps {
	int room, *from, *n;
	float *weight;
};

static bool taps_new(struct taps *t, int n_in, int n_out)
{
	double step = (double)n_in / n_out, wide = step > 1 ? step : 1;

	t->room = 2 * (int)ceil(wide) + 2;
	t->from = calloc((size_t)n_out, sizeof *t->from);
	t->n = calloc((size_t)n_out, sizeof *t->n);
	t->weight = calloc((size_t)n_out * (size_t)t->room, sizeof *t->weight);
	if (!t->from || !t->n || !t->weight)
		return false;
	for (int o = 0; o < n_out; o++) {
		double centre = (o + 0.5) * step, sum = 0;
		int from = (int)fmax(0, floor(centre - wide + 0.5));
		int to = (int)fmin(n_in, floor(centre + wide + 0.5));
		float *w = t->weight + (size_t)o * (size_t)t->room;

		t->from[o] = from;
		t->n[o] = to - from;
		for (int i = from; i < to; i++)
			sum += fmax(0, 1 - fabs((i + 0.5 - centre) / wide));
		for (int i = from; i < to; i++)
			w[i - from] = (float)(fmax(0, 1 - fabs((i + 0.5 - centre) / wide)) / sum);
	}
	return true;
}

static void taps_free(struct taps *t)
{
	free(t->from);
	free(t->n);
	free(t->weight);
}

/* One channel of r to [h][w] at out, whose pixels lie `pixel` apart; rows: [r->h][w] scratch. */
static void resize_channel(const struct raw *r, int c, const struct taps *tx, const struct taps *ty,
	int h, int w, float *rows, unsigned char *out, size_t pixel)
{
	for (int y = 0; y < r->h; y++)
		for (int x = 0; x < w; x++) {
			const unsigned char *p =
				r->data +
				((size_t)y * (size_t)r->w + (size_t)tx->from[x]) * (size_t)r->c + c;
			const float *k = tx->weight + (size_t)x * (size_t)tx->room;
			float sum = 0;

			for (int i = 0; i < tx->n[x]; i++)
				sum += k[i] * p[(size_t)i * (size_t)r->c];
			rows[(size_t)y * (size_t)w + (size_t)x] = sum;
		}
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			const float *p = rows + (size_t)ty->from[y] * (size_t)w + (size_t)x;
			const float *k = ty->weight + (size_t)y * (size_t)ty->room;
			float sum = 0.5f;

			for (int i = 0; i < ty->n[y]; i++)
				sum += k[i] * p[(size_t)i * (size_t)w];
			out[((size_t)y * (size_t)w + (size_t)x) * pixel] =
				sum >= 255 ? 255 : (unsigned char)sum;
		}
}

enum pare_status data_picture_read(const char *path, const struct data_picture *want, bool last,
	unsigned char *out, struct pare_err *err)
{
	struct raw r = { 0 };
	struct taps tx = { 0 }, ty = { 0 };
	float *rows = NULL;
	size_t plane = (size_t)want->h * (size_t)want->w;
	enum pare_status st = read_any(path, want->c, true, &r, err);

	if (!st) {
		rows = malloc((size_t)r.h * (size_t)want->w * sizeof *rows);
		if (!rows || !taps_new(&tx, r.w, want->w) || !taps_new(&ty, r.h, want->h))
			st = pare_nomem(err, path);
	}
	for (int c = 0; !st && c < want->c; c++)
		resize_channel(&r, c, &tx, &ty, want->h, want->w, rows,
			last ? out + c : out + (size_t)c * plane, last ? (size_t)want->c : 1);
	taps_free(&tx);
	taps_free(&ty);
	free(rows);
	free(r.data);
	return st;
}
