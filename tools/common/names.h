/* names.h - the words of the command line for the library's enumerations. */
#ifndef LBS_TOOLS_COMMON_NAMES_H
#define LBS_TOOLS_COMMON_NAMES_H

/* The word, or "?" for a value that this build does not know. */
const char *names_cipher(int cipher);
const char *names_freshness(int freshness);
const char *names_compress(int compress);
/* The value, or 0 for a word that is none. */
int names_find_cipher(const char *word);
int names_find_freshness(const char *word);
/* The value, or -1. */
int names_find_compress(const char *word);

#endif
