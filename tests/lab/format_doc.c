/*
 * format_doc.c - see format_doc.h. One pass over the lines of the file.
 */
#include "tests/lab/format_doc.h"
#include "tests/lab/simimage.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_MAX 6

static void give_up(const char *what, const char *line)
{
	fprintf(stderr, "FORMAT.md: %s: %s\n", what, line);
	exit(1);
}

/* Cuts "| a | b |" into its cells, trimmed, without code ticks around them. */
static int split(char *line, char *cell[CELLS_MAX])
{
	char *p = line, *end;
	int n = 0;

	while (*p == '|' && p[1] != '\0' && p[1] != '\n') {
		end = strchr(++p, '|');
		if (end == NULL || n == CELLS_MAX)
			give_up("a row that is no row", line);
		*end = '\0';
		while (isspace((unsigned char)*p))
			p++;
		cell[n] = p;
		for (p = end; p > cell[n] && isspace((unsigned char)p[-1]); p--)
			p[-1] = '\0';
		n++;
		p = end;
		*p = '|';
	}
	return n;
}

static void take(char *dst, size_t room, const char *src)
{
	const char *bar = strchr(src, '|');
	size_t len = bar != NULL ? (size_t)(bar - src) : strlen(src);

	if (len >= room)
		give_up("too long", src);
	memcpy(dst, src, len);
	dst[len] = '\0';
}

static void add_field(struct doc *doc, const char *table, char *line)
{
	char *cell[CELLS_MAX];
	struct doc_field *f;

	if (split(line, cell) != 4)
		give_up("a byte table has four columns", line);
	doc->fields = sim_realloc(doc->fields,
				  (doc->field_count + 1) * sizeof(*f));
	f = &doc->fields[doc->field_count++];
	memset(f, 0, sizeof(*f));
	take(f->table, sizeof(f->table), table);
	take(f->offset, sizeof(f->offset), cell[0]);
	take(f->bytes, sizeof(f->bytes), cell[1]);
	take(f->name, sizeof(f->name), cell[2]);
	take(f->meaning, sizeof(f->meaning), cell[3]);
}

static void add_number(struct doc *doc, char *line)
{
	char *cell[CELLS_MAX], *end;
	struct doc_number *n;

	if (split(line, cell) != 3)
		give_up("the table of numbers has three columns", line);
	doc->numbers = sim_realloc(doc->numbers,
				   (doc->number_count + 1) * sizeof(*n));
	n = &doc->numbers[doc->number_count++];
	take(n->name, sizeof(n->name), cell[0]);
	n->value = strtoull(cell[1], &end, 10);
	if (end == cell[1] || (*end != '\0' && *end != '|'))
		give_up("not a number", line);
}

static void add_hex(struct doc_example *e, const char *line)
{
	unsigned byte;
	int used;

	while (sscanf(line, " %2x%n", &byte, &used) == 1) {
		e->bytes = sim_realloc(e->bytes, e->len + 1);
		e->bytes[e->len++] = (uint8_t)byte;
		line += used;
	}
	if (line[strspn(line, " \n")] != '\0')
		give_up("not hex", line);
}

/* The first table under a heading is the one that it names. */
static void end_table(char *table, int *in_table)
{
	if (*in_table)
		table[0] = '\0';
	*in_table = 0;
}

/* A heading: what its section's rows are. */
static void heading(struct doc *doc, char *line, char table[32], int *numbers,
		    int *example)
{
	char name[32];

	line[strcspn(line, "\n")] = '\0';
	table[0] = '\0';
	*example = 0;
	if (sscanf(line, "### Table: %31s", name) == 1) {
		strcpy(table, name);
	} else if (sscanf(line, "### Example: %31s", name) == 1) {
		doc->examples = sim_realloc(doc->examples,
			(doc->example_count + 1) * sizeof(*doc->examples));
		memset(&doc->examples[doc->example_count], 0,
		       sizeof(*doc->examples));
		strcpy(doc->examples[doc->example_count++].name, name);
		*example = 1;
	}
	*numbers = strncmp(line, "## 1. ", 6) == 0;
}

struct doc *doc_read(const char *path)
{
	struct doc *doc = sim_alloc(sizeof(*doc));
	FILE *in = fopen(path, "r");
	char line[600], table[32] = "";
	int numbers = 0, example = 0, fenced = 0, in_table = 0;

	if (in == NULL)
		give_up("cannot be read", path);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (strncmp(line, "```", 3) == 0)
			fenced = !fenced;
		else if (fenced && example)
			add_hex(&doc->examples[doc->example_count - 1], line);
		else if (fenced)
			continue;
		else if (line[0] == '#')
			heading(doc, line, table, &numbers, &example);
		else if (strncmp(line, "|-", 2) == 0)
			in_table = 1;
		else if (line[0] != '|')
			end_table(table, &in_table);
		else if (!in_table)
			continue; /* the head of a table */
		else if (table[0] != '\0')
			add_field(doc, table, line);
		else if (numbers)
			add_number(doc, line);
	}
	fclose(in);
	if (doc->field_count == 0 || doc->number_count == 0)
		give_up("has no byte tables", path);
	return doc;
}

void doc_free(struct doc *doc)
{
	size_t i;

	if (doc == NULL)
		return;
	for (i = 0; i < doc->example_count; i++)
		free(doc->examples[i].bytes);
	free(doc->fields);
	free(doc->numbers);
	free(doc->examples);
	free(doc);
}

const struct doc_example *doc_find_example(const struct doc *doc,
					   const char *name)
{
	size_t i;

	for (i = 0; i < doc->example_count; i++)
		if (strcmp(doc->examples[i].name, name) == 0)
			return &doc->examples[i];
	give_up("there is no example of this name", name);
	return NULL;
}

uint64_t doc_value(const char *expression, const struct doc_letter *letters)
{
	const char *p = expression;
	uint64_t sum = 0, term;
	const struct doc_letter *l;
	char *end;
	int minus = 0;

	while (*p != '\0') {
		term = 1;
		if (isdigit((unsigned char)*p)) {
			term = strtoull(p, &end, 10);
			p = end;
		}
		if (isalpha((unsigned char)*p)) {
			for (l = letters; l->letter != *p; l++)
				if (l->letter == 0)
					give_up("an unknown letter", expression);
			term *= l->value;
			p++;
		}
		sum = minus ? sum - term : sum + term;
		minus = *p == '-';
		if (*p == '+' || *p == '-')
			p++;
		else if (*p != '\0')
			give_up("not an expression", expression);
	}
	return sum;
}

const char *doc_sealed_table(const struct doc_field *field, char name[32])
{
	return sscanf(field->meaning, "ciphertext of `%31[a-z-]`", name) == 1
		       ? name : NULL;
}
