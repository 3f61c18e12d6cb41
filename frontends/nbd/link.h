/*
 * link.h - the plugin's line to the program that supervises nbdkit.
 *
 * A connected SOCK_SEQPACKET socket whose number is the parameter link-fd=.
 * Each message is one text without a final newline:
 *   to the supervisor:  "log LEVEL CODE SENTENCE"  a message of the library
 *                       "failed CODE"  the store was refused; nbdkit exits 1
 *                       "ready"  the store is open, clients can connect
 *   to the plugin:      "stop"   finish and exit, whoever is connected
 * The line's end means that the supervisor is gone: the plugin finishes, too.
 *
 * Why not SIGTERM: nbdkit 1.32 then waits until every idle client has hung up,
 * and answers ESHUTDOWN to requests that arrive, which a client such as QEMU
 * gives to its guest as an I/O error. After "stop" requests under way are
 * completed, later ones stay unanswered, and the connections end with the
 * process: a client that reconnects sends them again.
 */
#ifndef LBS_FRONTENDS_NBD_LINK_H
#define LBS_FRONTENDS_NBD_LINK_H

#define LINK_MESSAGE_BYTES 1280

struct link;

/* Messages to the supervisor: never block, are lost if it does not read. */
void link_log(int fd, int level, int code, const char *sentence);
void link_failed(int fd, int code);
void link_ready(int fd);

/* Starts the thread that waits for "stop" or the end, and then calls stop(). */
int link_start(int fd, void (*stop)(void), struct link **out);
/* Ends that thread. NULL is allowed. Not to be called from stop(). */
void link_end(struct link *link);

#endif
