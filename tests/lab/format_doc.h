/*
 * format_doc.h - FORMAT.md as a program reads it: its byte tables, its numbers,
 * its examples in hex. Must never guess: what does not have the one shape that
 * FORMAT.md promises ends the test.
 */
#ifndef LBS_TESTS_FORMAT_DOC_H
#define LBS_TESTS_FORMAT_DOC_H

#include <stddef.h>
#include <stdint.h>

/* A row of a table under "### Table: NAME". */
struct doc_field {
	char table[32], offset[24], bytes[24], name[32], meaning[200];
};

/* A row "| NAME | number | meaning |" of section 1. */
struct doc_number {
	char name[40];
	uint64_t value;
};

/* The hex block under "### Example: NAME". */
struct doc_example {
	char name[32];
	uint8_t *bytes;
	size_t len;
};

struct doc {
	struct doc_field *fields;
	struct doc_number *numbers;
	struct doc_example *examples;
	size_t field_count, number_count, example_count;
};

struct doc *doc_read(const char *path);
void doc_free(struct doc *doc);
/* Ends the test if there is none. */
const struct doc_example *doc_find_example(const struct doc *doc,
					   const char *name);

/* What the letters of an expression stand for. */
struct doc_letter {
	char letter;
	uint64_t value;
};
/* The value of "24+d" or "16e"; letters ends with letter 0. */
uint64_t doc_value(const char *expression, const struct doc_letter *letters);
/* The table that a field is the ciphertext of, or NULL. */
const char *doc_sealed_table(const struct doc_field *field, char name[32]);

#endif
