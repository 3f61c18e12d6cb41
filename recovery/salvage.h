/*
 * salvage.h - a new metadata file from a corrupt one. The original is only read;
 * what can be read of it, and what the card can add, goes to a file beside it.
 */
#ifndef LBS_RECOVERY_SALVAGE_H
#define LBS_RECOVERY_SALVAGE_H

#include "liblbs/error.h"
#include "recovery/check.h"

/* What is put behind the store's path to name the new file. */
#define SALVAGE_SUFFIX ".salvaged"

/* Tells what was lost as findings of c (whose store is NULL). 0: the new file is
 * there. LBS_EEXIST: one was there before. LBS_ECORRUPT: nothing can be done. */
int salvage_store(const char *path, const struct logger *log, struct checker *c);

#endif
