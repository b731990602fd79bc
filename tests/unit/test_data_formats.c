/* Each format that samples may have: what it reads, and what it says of damaged files. */
#include "tests/unit/data_files.h"
#include <png.h>
#include <zlib.h>
/* jpeglib.h needs stdio.h before it */
#include <jpeglib.h>

static void npy_headers_are_read(void)
{
	static const struct {
		const char *dict;
		enum pare_dtype dtype;
	} good[] = {
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", PARE_F32 },
		{ "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"=f4\"}", PARE_F32 },
		{ "{'descr': '<i4', 'fortran_order': False, 'shape': (2L, 3L)}\n", PARE_I32 },
		{ "{'descr': '<f4', 'fortran_order': True, 'shape': (6,)}\n", PARE_F32 },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': ()}\n", PARE_F32 },
	};
	float data[6] = { 1, -2, 3.5f, 0, 1e9f, -0.f };
	unsigned char buf[256];
	struct pare_array a;
	struct pare_err err = { 0 };

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		const char *path = put("h.npy", buf, npy_bytes(buf, good[i].dict, data, 24));
		enum pare_status st = pare_npy_read(path, &a, &err);

		ok_status(st, err, "%.60s", good[i].dict);
		if (st)
			continue;
		ok(a.dtype == good[i].dtype && !memcmp(a.data, data, a.shape.n ? 24 : 4),
			"its elements");
		pare_array_free(&a);
	}
	npy_bytes(buf, good[0].dict, data, 24);
	buf[6] = 2; /* version 2: four bytes of length */
	memmove(buf + 12, buf + 10, 200);
	buf[10] = buf[11] = 0;
	ok(!pare_npy_read(put("h.npy", buf, 12 + strlen(good[0].dict) + 24), &a, &err) &&
			a.shape.n == 2 && a.shape.d[1] == 3 && !memcmp(a.data, data, 24),
		"version 2");
	pare_array_free(&a);
	ok(pare_npy_read("/", &a, &err) == PARE_E_IO, "a folder is no array");
}

static void bad_npy_is_refused(void)
{
	static const struct {
		const char *dict;
		size_t len;
		enum pare_status status;
		const char *word;
	} bad[] = {
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 23, PARE_E_FORMAT,
			"promises 24 bytes of data, 23" },
		{ "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", 24,
			PARE_E_UNSUPPORTED, "Fortran" },
		{ "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}", 24,
			PARE_E_UNSUPPORTED, "big-endian" },
		{ "{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}", 24, PARE_E_UNSUPPORTED,
			"'<c8'" },
		{ "{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", 24, PARE_E_UNSUPPORTED,
			"'|O'" },
		{ "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", 24,
			PARE_E_UNSUPPORTED, "fields" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 9)}",
			24, PARE_E_FORMAT, "absurd" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 24,
			PARE_E_FORMAT, "absurd" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 24,
			PARE_E_UNSUPPORTED, "dimensions" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}", 24, PARE_E_FORMAT,
			"np.save" },
		{ "{'descr': '<f4', 'fortran_order': False}", 24, PARE_E_FORMAT, "np.save" },
		{ "{'descr': '<f4'", 24, PARE_E_FORMAT, "np.save" },
		{ "", 0, PARE_E_FORMAT, "" },
	};
	unsigned char buf[256], data[24] = { 0 };
	struct pare_array a = { .data = NULL };
	struct pare_err err;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *path = put("b.npy", buf, npy_bytes(buf, bad[i].dict, data, bad[i].len));
		enum pare_status st = pare_npy_read(path, &a, &err);

		if (!ok(st == bad[i].status && !a.data && strstr(err.text, bad[i].word) &&
				    strstr(err.text, "b.npy"),
			    "refused: %s", bad[i].dict))
			printf("#   %d %s\n", st, st ? err.text : "");
	}
	npy_bytes(buf, bad[0].dict, data, 24);
	buf[9] = 255;
	ok(pare_npy_read(put("b.npy", buf, 90), &a, &err) == PARE_E_FORMAT &&
			strstr(err.text, "ends within its header"),
		"a header beyond the end");
	buf[6] = 9;
	ok(pare_npy_read(put("b.npy", buf, 90), &a, &err) == PARE_E_UNSUPPORTED, "version 9");
}

/* 40 MB of samples, mostly a hole: files of this size are mapped instead of read. */
static void large_files_are_mapped(void)
{
	static const unsigned char some[] = { 5, 6, 7 };
	const char *path = put_npy("m.npy", "|u1", "(40, 1048576)", some, sizeof some);
	struct pare_dataset *d;
	float *got = malloc(1048576 * sizeof *got);

	ok(!truncate(path, 128 + 40 * 1048576), "make a large file");
	d = opens(path, MODEL(2, -1, 1048576), "it opens");
	pare_dataset_read(d, PARE_CALIBRATE, 0, 1, got);
	ok(got[0] == 5 && got[2] == 7 && got[3] == 0, "and reads");
	pare_dataset_read(d, PARE_EVALUATE, 31, 1, got);
	ok(got[0] == 0 && got[1048575] == 0, "to its end");
	pare_dataset_free(d);
	ok(!truncate(path, 128 + 40 * 1048576 - 1), "take a byte away");
	refuses(path, NULL, PARE_E_FORMAT, "cut short", "it is missed");
	free(got);
}

static void arrays_are_written_and_read(void)
{
	float f[6] = { 1, 2, 3, 4, 5, 6 };
	int64_t y[2] = { 1, 0 };
	const struct pare_array arrays[] = { { PARE_F32, { 2, { 2, 3 } }, f },
		{ PARE_I64, { 1, { 2 } }, y }, { PARE_BF16, { 1, { 2 } }, y } };
	const char *const names[] = { "x", "y", "z" };
	const char *npz = in_folder("w.npz");
	unsigned char buf[4096];
	struct pare_array a;
	struct pare_dataset *d;
	struct pare_err err = { 0 };
	float got[3];
	size_t len;
	FILE *file;

	ok_status(pare_npz_write(in_folder("w.npy"), arrays, names, 1, &err), err, "one array");
	ok_status(pare_npy_read(in_folder("w.npy"), &a, &err), err, "reads again");
	ok(a.shape.n == 2 && a.shape.d[0] == 2 && !memcmp(a.data, f, sizeof f), "as it was");
	pare_array_free(&a);
	ok_status(pare_npz_write(npz, arrays, names, 2, &err), err, "two arrays");
	d = opens(npz, MODEL(2, -1, 3), "and that is a dataset");
	pare_dataset_read(d, PARE_EVALUATE, 0, 1, got);
	ok(!memcmp(got, f + 3, sizeof got) && pare_dataset_label(d, PARE_CALIBRATE, 0) == 1,
		"of x and y");
	pare_dataset_free(d);
	file = fopen(npz, "rb");
	len = fread(buf, 1, sizeof buf, file);
	fclose(file);
	buf[len / 4] ^= 64;
	refuses(put("d.npz", buf, len), NULL, PARE_E_FORMAT, "damaged", "a turned bit");
	refuses(put("d.npz", buf, len / 2), NULL, PARE_E_FORMAT, "d.npz", "half an archive");
	ok(pare_npz_write(npz, arrays + 2, names, 1, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "bfloat16"),
		"what numpy does not know is refused");
	ok(pare_npz_write("/nowhere/a.npy", arrays, names, 1, &err) == PARE_E_IO &&
			pare_npz_write("/nowhere/a.npz", arrays, names, 2, &err) == PARE_E_IO,
		"a folder that is not there");
	ok(!pare_npz_write(npz, arrays + 1, names + 1, 1, &err), "labels alone");
	refuses(npz, NULL, PARE_E_FORMAT, "no array named x in it (there: y.npy)",
		"an archive without samples tells what is there");
}

static void idx_reads_packed_and_plain(void)
{
	static const unsigned char images[] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1,
		2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	static const unsigned char labels[] = { 0, 0, 8, 1, 0, 0, 0, 2, 4, 1 };
	static const unsigned char shorts[] = { 0, 0, 11, 2, 0, 0, 0, 1, 0, 0, 0, 2, 255, 254, 1,
		0 };
	unsigned char absurd[sizeof images];
	const char *path = in_folder("train-images-idx3-ubyte.gz");
	gzFile f = gzopen(path, "wb");
	struct pare_dataset *d;
	float got[6];

	ok(gzwrite(f, images, sizeof images) == sizeof images && gzclose(f) == Z_OK, "pack");
	put("train-labels-idx1-ubyte", labels, sizeof labels);
	d = opens(path, MODEL(10, -1, 1, 2, 3), "images packed, labels beside them not");
	pare_dataset_read(d, PARE_EVALUATE, 0, 1, got);
	ok(got[0] == 7 && got[5] == 12 && pare_dataset_label(d, PARE_CALIBRATE, 0) == 4 &&
			pare_dataset_label(d, PARE_EVALUATE, 0) == 1,
		"both are read");
	pare_dataset_free(d);
	d = opens(folder, NULL, "the folder");
	ok(pare_dataset_info(d)->labelled && pare_dataset_info(d)->n_evaluate == 1, "likewise");
	pare_dataset_free(d);
	d = opens(put("s.idx", shorts, sizeof shorts), NULL, "16 bits, big-endian");
	pare_dataset_read(d, PARE_EVALUATE, 0, 1, got);
	ok(got[0] == -2 && got[1] == 256, "in the machine's order");
	pare_dataset_free(d);
	refuses(put("c.idx", images, sizeof images - 1), NULL, PARE_E_FORMAT, "cut short",
		"a byte too few");
	memcpy(absurd, images, sizeof images);
	memset(absurd + 4, 255, 12);
	refuses(put("c.idx", absurd, sizeof absurd), NULL, PARE_E_FORMAT, "absurd",
		"dimensions beyond all memory");
	memset(absurd + 4, 0, 12);
	absurd[5] = absurd[11] = absurd[15] = 64;
	refuses(put("c.idx", absurd, sizeof absurd), NULL, PARE_E_FORMAT, "cut short",
		"a size that the file cannot hold");
	unlink(path);
	unlink(in_folder("train-labels-idx1-ubyte"));
}

static void cifar_records_are_read(void)
{
	unsigned char *rec = calloc(30, 3074);
	const char *path;
	struct pare_dataset *d;
	float *got = malloc(3072 * sizeof *got);
	struct pare_err err = { 0 };

	for (int i = 0; i < 30; i++) {
		rec[i * 3073] = (unsigned char)(i % 10);
		memset(rec + i * 3073 + 1, i, 3072);
	}
	d = opens(put("c.bin", rec, 30 * 3073), MODEL(10, 1, 3, 32, 32), "a CIFAR-10 file");
	pare_dataset_read(d, PARE_EVALUATE, 3, 1, got);
	ok(got[0] == 9 && got[3071] == 9 && pare_dataset_label(d, PARE_EVALUATE, 3) == 9,
		"record 9");
	pare_dataset_free(d);
	mkdir(in_folder("cifar"), 0755);
	put("cifar/test_batch.bin", rec, 10 * 3073);
	put("cifar/data_batch_1.bin", rec + 10 * 3073, 10 * 3073);
	put("cifar/data_batch_2.bin", rec + 20 * 3073, 10 * 3073);
	d = opens(in_folder("cifar"), NULL, "its folder");
	ok(pare_dataset_info(d)->n_evaluate == 10 && pare_dataset_info(d)->n_calibrate == 20,
		"test batch and two train batches");
	pare_dataset_read(d, PARE_CALIBRATE, 15, 1, got);
	ok(got[7] == 25, "one after the other");
	pare_dataset_free(d);
	rec[0] = 7;
	rec[1] = 77;
	d = opens(put("c.bin", rec, 3074 * 5), NULL, "a CIFAR-100 file");
	ok(pare_dataset_info(d)->n_evaluate == 4 && pare_dataset_label(d, PARE_CALIBRATE, 0) == 77,
		"its fine label counts");
	ok(pare_dataset_set_split(d, PARE_CALIBRATE, 0, 6, &err) == PARE_E_MISMATCH, "5 samples");
	pare_dataset_free(d);
	path = put("c.bin", rec, 3072);
	refuses(path, NULL, PARE_E_FORMAT,
		"Known: ", "another size is no CIFAR; the formats are named");
	free(rec);
	free(got);
}

static void put_png(const char *name, int w, int h, const unsigned char *rgb)
{
	png_image image = { .version = PNG_IMAGE_VERSION,
		.width = (png_uint_32)w,
		.height = (png_uint_32)h,
		.format = PNG_FORMAT_RGB };

	if (!png_image_write_to_file(&image, in_folder(name), 0, rgb, 0, NULL))
		printf("# %s\n", image.message);
}

static void put_jpeg(const char *name, int w, int h, unsigned char level)
{
	struct jpeg_compress_struct j;
	struct jpeg_error_mgr mgr;
	FILE *f = fopen(in_folder(name), "wb");
	unsigned char *row = malloc((size_t)w);

	memset(row, level, (size_t)w);
	j.err = jpeg_std_error(&mgr);
	jpeg_create_compress(&j);
	jpeg_stdio_dest(&j, f);
	j.image_width = (JDIMENSION)w;
	j.image_height = (JDIMENSION)h;
	j.input_components = 1;
	j.in_color_space = JCS_GRAYSCALE;
	jpeg_set_defaults(&j);
	jpeg_start_compress(&j, TRUE);
	while (j.next_scanline < j.image_height)
		jpeg_write_scanlines(&j, &row, 1);
	jpeg_finish_compress(&j);
	jpeg_destroy_compress(&j);
	fclose(f);
	free(row);
}

static void class_folders_are_decoded(void)
{
	static const unsigned char rgb[12] = { 255, 0, 0, 0, 255, 0, 0, 0, 255, 40, 80, 120 };
	struct pare_dataset *d;
	float got[3 * 4 * 4];

	for (const char *const *f = (const char *const[]){ "img", "img/b", "img/a", NULL }; *f; f++)
		mkdir(in_folder(*f), 0755);
	put_png("img/a/1.png", 2, 2, rgb);
	put_jpeg("img/a/2.jpg", 16, 8, 200);
	put_png("img/b/1.png", 2, 2, rgb);
	d = opens(in_folder("img"), NULL, "class folders, of the first one's size");
	pare_dataset_read(d, PARE_CALIBRATE, 0, 1, got);
	ok(got[0] == 255 && got[1] == 0 && got[3] == 40 && got[4 + 1] == 255 && got[8 + 3] == 120,
		"a picture's planes");
	ok(pare_dataset_label(d, PARE_EVALUATE, 0) == 1 &&
			pare_dataset_label(d, PARE_EVALUATE, 1) == 0,
		"classes take turns");
	ok(!strcmp(pare_dataset_class(d, 1), "b"), "and have the folders' names");
	pare_dataset_read(d, PARE_EVALUATE, 1, 1, got);
	ok(got[0] == 200 && got[11] == 200, "a gray JPEG fills three planes");
	pare_dataset_free(d);
	d = opens(in_folder("img"), MODEL(2, 1, 1, 4, 4), "stretched to a gray input");
	pare_dataset_read(d, PARE_CALIBRATE, 0, 1, got);
	/* PIL: Image.open(…).convert("L").resize((4, 4), Image.BILINEAR) */
	static const float pil[16] = { 76, 95, 132, 150, 64, 81, 115, 131, 41, 54, 80, 92, 29, 40,
		62, 73 };
	int off = 0;
	for (int i = 0; i < 16; i++)
		off += got[i] < pil[i] - 1 || got[i] > pil[i] + 1;
	if (!ok(!off, "as PIL does it, to one of 255"))
		for (int i = 0; i < 16; i++)
			printf("# %g %g\n", (double)got[i], (double)pil[i]);
	pare_dataset_free(d);
	put_text("c.conf", "samples img\nclasses z b a\n");
	d = opens(in_folder("c.conf"), NULL, "names in an order of the model's");
	ok(pare_dataset_label(d, PARE_CALIBRATE, 0) == 2 && pare_dataset_info(d)->n_classes == 3,
		"labels follow the names");
	pare_dataset_free(d);
	put_text("c.conf", "samples img\nclasses b c\n");
	refuses(in_folder("c.conf"), NULL, PARE_E_MISMATCH, "the class 'a'", "a folder not named");
	refuses(in_folder("img"), MODEL(2, 1, 5, 4, 4), PARE_E_MISMATCH, "5 channels",
		"no such image");
	put("img/b/2.png", "\x89PNG\r\n\x1a\n", 8);
	refuses(in_folder("img"), NULL, PARE_E_FORMAT, "b/2.png", "a damaged picture is named");
	put("img/b/2.png", "\xff\xd8\xff\xe0", 4);
	refuses(in_folder("img"), NULL, PARE_E_FORMAT, "b/2.png", "a damaged JPEG, too");
}

static void tables_are_read(void)
{
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "a,b\n1,2\n3\n", "t.csv:3: has fewer fields" },
		{ "a,b\n1,2\n\n3,4,5\n", "t.csv:4: has more fields" },
		{ "a,b\n1,x\n", "t.csv:2: 'x' in column 2 is not a number" },
		{ "a,b\n1,\n", "t.csv:2: ''" },
		{ "a,b\n", "not a table" },
		{ "", "not a table" },
		{ "label\n1\n", "not a table" },
		{ "a,y\n1,2\n1,-4\n", "sample 1 is -4" },
	};
	struct pare_dataset *d;
	float got[2];

	d = opens(put_text("t.csv",
			  "\xef\xbb\xbflabel;\"a;1\";b\r\nred;1.5;-2e1\r\n\r\n\"blue\"; 3 ;4"),
		MODEL(2, -1, 2), "a table of names and numbers");
	pare_dataset_read(d, PARE_CALIBRATE, 0, 1, got);
	ok(got[0] == 1.5f && got[1] == -20, "features in their order");
	ok(pare_dataset_label(d, PARE_CALIBRATE, 0) == 1 &&
			!strcmp(pare_dataset_class(d, 0), "blue"),
		"classes by their names");
	pare_dataset_free(d);
	d = opens(put_text("t.tsv", "1\t2\n3\t4\n"), NULL, "numbers alone");
	ok(!pare_dataset_info(d)->labelled && pare_dataset_info(d)->n_evaluate == 1, "no labels");
	pare_dataset_free(d);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pare_err err = { 0 };

		d = NULL;
		if (!ok(pare_dataset_open(put_text("t.csv", bad[i].text), NULL, &d, &err) && !d &&
				    strstr(err.text, bad[i].word),
			    "refused: %s", bad[i].word))
			printf("#   %s\n", err.text);
		pare_dataset_free(d);
	}
}

static void what_is_no_data_is_refused(void)
{
	mkfifo(in_folder("pipe.npy"), 0644);
	refuses(in_folder("pipe.npy"), NULL, PARE_E_IO, "neither a regular file", "a pipe");
	refuses(in_folder("nothing"), NULL, PARE_E_IO, "nothing: No such file", "a missing file");
	refuses(put_text("a.txt", "hello"), NULL, PARE_E_FORMAT, "with a column 'label'",
		"a text, and all formats are named");
	mkdir(in_folder("empty"), 0755);
	refuses(in_folder("empty"), NULL, PARE_E_FORMAT, "Known: ", "an empty folder");
	refuses(put_text("a.npy", ""), NULL, PARE_E_FORMAT, "a.npy", "an empty file");
}

int main(void)
{
	new_folder();
	npy_headers_are_read();
	bad_npy_is_refused();
	large_files_are_mapped();
	arrays_are_written_and_read();
	idx_reads_packed_and_plain();
	cifar_records_are_read();
	class_folders_are_decoded();
	tables_are_read();
	what_is_no_data_is_refused();
	remove_folder();
	return tap_done();
}
