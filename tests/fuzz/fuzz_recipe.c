/* Recipes from strangers: whatever the bytes, parsing ends, and what parses may be completed. */
#include "sessions/recipe.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	struct pare_recipe *r = NULL;
	struct pare_words words = { 0 };
	struct pare_script s;
	struct pare_err err;
	size_t start;

	if (!pare_recipe_parse((const char *)data, len, "fuzz.pare", &r, &err))
		pare_recipe_free(r);
	if (!pare_script_parse(
		    (const char *)data, len, NULL, PARE_IN_COMMAND | PARE_IN_RECIPE, &s, &err))
		pare_script_free(&s);
	pare_language_complete((const char *)data, len, NULL, NULL, &words, &start);
	if (start > len)
		abort();
	pare_words_free(&words);
	return 0;
}
