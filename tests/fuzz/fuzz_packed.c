/* Any bytes as packed weights, their checksum made right: reading ends with values for all records,
 * or with a sentence. */
#include "engine/packed/packed.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void seal(uint8_t *file, size_t n)
{
	char hex[PARE_SHA_HEX];

	memcpy(file, PARE_PACKED_MAGIC, 8);
	memset(file + PARE_PACKED_SHA_AT, 0, 32);
	pare_sha256(file, n, hex);
	for (int i = 0; i < 32; i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };

		file[PARE_PACKED_SHA_AT + i] = (uint8_t)strtoul(two, NULL, 16);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file = malloc(size + 1);
	struct pare_packed *p = NULL;
	struct pare_err err = { 0 };

	if (!file || size < PARE_PACKED_HEAD) {
		free(file);
		return 0;
	}
	memcpy(file, data, size);
	seal(file, size);
	if (pare_packed_read(file, size, "fuzz", &p, &err))
		assert(*err.text);
	for (int i = 0; p && i < pare_packed_info(p)->n_records; i++) {
		struct pare_array a = { .data = NULL };

		if (!pare_packed_values(p, i, &a, &err))
			pare_array_free(&a);
	}
	pare_packed_free(p);
	free(file);
	return 0;
}
