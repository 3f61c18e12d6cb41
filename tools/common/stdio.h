/*
 * stdio.h - what a parent may have left undone. A program that was started without
 * one of the three standard descriptors must never get a file of the store under
 * its number: what is said to standard error would be written into it.
 */
#ifndef LBS_TOOLS_COMMON_STDIO_H
#define LBS_TOOLS_COMMON_STDIO_H

/* First of all in main: opens those that are closed such that using them still
 * fails, and lets children be waited for, which they cannot be where SIGCHLD was
 * ignored by the parent. Ends the program with that exit code where even that
 * cannot be done. */
void stdio_begin(int exit_code);

#endif
