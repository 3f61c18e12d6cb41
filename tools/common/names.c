/* names.c - see names.h. */
#include "tools/common/names.h"

#include <string.h>

#include "lbs.h"

struct name {
	int value;
	const char *word;
};

static const struct name ciphers[] = {
	{ LBS_CIPHER_CHACHA20POLY1305, "chacha20poly1305" },
	{ LBS_CIPHER_AES256GCM, "aes256gcm" },
	{ LBS_CIPHER_AEGIS256, "aegis256" },
	{ 0, NULL },
};

static const struct name freshnesses[] = {
	{ LBS_FRESHNESS_FLUSH, "flush" },
	{ LBS_FRESHNESS_CHECKPOINT, "checkpoint" },
	{ 0, NULL },
};

static const struct name compressions[] = {
	{ LBS_COMPRESS_NONE, "none" },
	{ LBS_COMPRESS_LZ4, "lz4" },
	{ LBS_COMPRESS_ZSTD, "zstd" },
	{ -1, NULL },
};

static const char *
word_of(const struct name *table, int value)
{
	for (; table->word; table++)
		if (table->value == value)
			return table->word;
	return "?";
}

static int
value_of(const struct name *table, const char *word)
{
	for (; table->word; table++)
		if (strcmp(table->word, word) == 0)
			break;
	return table->value;
}

const char *
names_cipher(int cipher)
{
	return word_of(ciphers, cipher);
}

const char *
names_freshness(int freshness)
{
	return word_of(freshnesses, freshness);
}

const char *
names_compress(int compress)
{
	return word_of(compressions, compress);
}

int
names_find_cipher(const char *word)
{
	return value_of(ciphers, word);
}

int
names_find_freshness(const char *word)
{
	return value_of(freshnesses, word);
}

int
names_find_compress(const char *word)
{
	return value_of(compressions, word);
}
