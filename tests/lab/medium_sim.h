/*
 * medium_sim.h - the medium of liblbs over the card side of a simulated disk.
 * Must never add behaviour of its own: faults belong to the simdisk.
 */
#ifndef LBS_TESTS_MEDIUM_SIM_H
#define LBS_TESTS_MEDIUM_SIM_H

#include "liblbs/medium/medium.h"
#include "tests/lab/simdisk.h"

/* A fresh view of the card, as a process has that just started. Released by
 * ops->close; must not outlive the disk. */
struct medium *medium_sim_new(struct simdisk *d);

#endif
