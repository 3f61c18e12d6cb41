/*
 * report.h - the card's statistics as JSON.
 */
#ifndef LBS_BENCH_SDCARD_REPORT_H
#define LBS_BENCH_SDCARD_REPORT_H

#include <jansson.h>

#include "bench/sdcard/card.h"

/* An object, whose keys README.md beside this file explains; NULL without
 * memory. The caller's to release. */
json_t *sdcard_report(const struct sdcard *c);

#endif
