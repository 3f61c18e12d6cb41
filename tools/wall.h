/*
 * wall.h - what a program that reads untrusted bytes may reach (Landlock).
 * A second line of defence: it changes nothing for one that behaves.
 */
#ifndef LBS_TOOLS_WALL_H
#define LBS_TOOLS_WALL_H

/* From here on this process and its children read, of all files, only those of
 * the system (programs, libraries) and this one, write none (but /dev/null), and use no TCP.
 * Unix sockets stay as they were. A kernel without Landlock gives no wall. 0,
 * or -1 with errno when there should be one and is not. */
int wall_around(const char *image);

#endif
