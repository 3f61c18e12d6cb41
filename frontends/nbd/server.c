/*
 * server.c - the one open store of this nbdkit process: opening, handles,
 * messages, the end.
 * Must never open the store before nbdkit has forked (locks and locked memory
 * do not cross a fork), and never close it under a request.
 */
#include "frontends/nbd/plugin.h"

#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "frontends/common/ctl.h"
#include "frontends/nbd/link.h"

static struct server_options opt; /* constant after server_probe */
static int explained;		  /* an error sentence has gone out */

/* Lock order: finish_lock, gate, connections_lock. */
static pthread_mutex_t finish_lock = PTHREAD_MUTEX_INITIALIZER;
/* Held for reading by whoever uses the store; the end takes it for writing,
 * ahead of readers that come later, and keeps it. */
static pthread_rwlock_t gate =
	PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static lbs_store *store; /* guarded by gate */
static pthread_mutex_t connections_lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection *connections; /* guarded by connections_lock */
static struct ctl *ctl;		       /* guarded by finish_lock */
static int finished;		       /* guarded by finish_lock */
static struct link *to_supervisor;     /* constant after server_start */

/* A lbs_log_fn. The supervisor words messages itself; without one they go
 * where nbdkit's own go. */
static void
log_sentence(void *ctx, int level, int code, const char *sentence)
{
	size_t len = strlen(opt.path);
	int named = strncmp(sentence, opt.path, len) == 0;
	const char *name = named ? "" : opt.path, *colon = named ? "" : ": ";

	(void)ctx;
	if (level == LBS_LOG_ERROR)
		__atomic_store_n(&explained, 1, __ATOMIC_RELAXED);
	if (opt.link_fd >= 0)
		link_log(opt.link_fd, level, code, sentence);
	else if (level == LBS_LOG_ERROR)
		nbdkit_error("%s%s%s [%s]", name, colon, sentence,
			     lbs_error_word(code));
	else if (level == LBS_LOG_WARNING)
		nbdkit_error("%s%swarning: %s", name, colon, sentence);
	else
		nbdkit_debug("%s%s%s", name, colon, sentence);
}

static struct lbs_open_options
open_options(void)
{
	return (struct lbs_open_options){
		.struct_size = sizeof(struct lbs_open_options),
		.flags = opt.read_only ? LBS_RDONLY : 0,
		.data_dir = opt.data_dir,
		.map_limit_bytes = opt.map_limit_bytes,
		.owner = opt.owner,
		.log = log_sentence,
	};
}

/* The store was refused: says why, once, wherever the user looks. */
static int
refused(int rc)
{
	if (opt.link_fd >= 0)
		link_failed(opt.link_fd, rc);
	else if (!__atomic_load_n(&explained, __ATOMIC_RELAXED))
		nbdkit_error("%s: %s [%s]", opt.path, lbs_strerror(rc),
			     lbs_error_word(rc));
	return rc;
}

int
server_probe(const struct server_options *options)
{
	struct lbs_open_options oo;
	struct rlimit none = { 0, 0 };
	int rc;

	opt = *options;
	/* Keys will be in this memory: no core file, no debugger. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* nbdkit asks for SIGTERM under socket activation, and would then wait
	 * for its clients. */
	if (opt.link_fd >= 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	oo = open_options();
	rc = lbs_store_probe(opt.path, &oo);
	return rc < 0 ? refused(rc) : 0;
}

/* The supervisor asks for the end: nbdkit is not asked, see link.h. */
static void
stop(void)
{
	/* Taken by server_finish: then nbdkit is ending by itself. */
	if (pthread_mutex_trylock(&finish_lock) != 0)
		return;
	pthread_rwlock_wrlock(&gate);
	ctl_end(ctl);
	for (struct connection *c = connections; c; c = c->next)
		lbs_vdisk_close(c->vdisk);
	_exit(lbs_store_close(store) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* A server without a vdisk to serve would hold the store for nothing. */
static int
check_vdisk(void)
{
	char sentence[256];
	lbs_vdisk *vdisk;
	int rc = lbs_vdisk_open(store, opt.vdisk, &vdisk);

	if (rc == 0) {
		lbs_vdisk_close(vdisk);
		return 0;
	}
	snprintf(sentence, sizeof(sentence),
		 "the store has no vdisk '%s': see lbs list", opt.vdisk);
	log_sentence(NULL, LBS_LOG_ERROR, rc, sentence);
	return rc;
}

int
server_start(const struct server_options *options)
{
	struct lbs_open_options oo;
	char sentence[256];
	int rc;

	opt = *options;
	oo = open_options();
	rc = lbs_store_open(opt.path, &oo, &store);
	if (rc < 0)
		return refused(rc);
	rc = check_vdisk();
	if (rc < 0) {
		server_finish();
		return refused(rc);
	}
	rc = ctl_start(opt.path, store, opt.owner, &ctl);
	if (rc < 0) {
		snprintf(sentence, sizeof(sentence), CTL_NOT_MADE, strerror(-rc));
		log_sentence(NULL, LBS_LOG_WARNING, 0, sentence);
	}
	if (opt.link_fd >= 0) {
		if (link_start(opt.link_fd, stop, &to_supervisor) < 0) {
			server_finish();
			return refused(LBS_ENOMEM);
		}
		link_ready(opt.link_fd);
	}
	return 0;
}

void
server_enter(void)
{
	pthread_rwlock_rdlock(&gate);
}

void
server_leave(void)
{
	pthread_rwlock_unlock(&gate);
}

lbs_store *
server_store(void)
{
	return store;
}

void
server_tell_failure(void)
{
	static int told;
	char sentence[1100];
	const char *why;

	server_enter();
	why = lbs_store_failure(store);
	if (*why && !__atomic_exchange_n(&told, 1, __ATOMIC_RELAXED)) {
		snprintf(sentence, sizeof(sentence),
			 "writes and flushes are refused from now on, clients "
			 "get EIO, reads go on (%s): when that is mended, stop "
			 "this server and start it again; opening recovers",
			 why);
		log_sentence(NULL, LBS_LOG_ERROR, LBS_EFAILED, sentence);
	}
	server_leave();
}

int
server_connect(const char *name, struct connection **out)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int rc = LBS_ENOMEM;

	if (!connection)
		goto out;
	rc = lbs_vdisk_open(store, name, &connection->vdisk);
	if (rc < 0)
		goto out;
	pthread_mutex_lock(&connections_lock);
	connection->next = connections;
	connections = connection;
	pthread_mutex_unlock(&connections_lock);
	*out = connection;
	connection = NULL;
	rc = 0;
out:
	free(connection);
	return rc;
}

void
server_disconnect(struct connection *connection)
{
	struct connection **at;

	pthread_mutex_lock(&connections_lock);
	for (at = &connections; *at != connection; at = &(*at)->next)
		;
	*at = connection->next;
	pthread_mutex_unlock(&connections_lock);
	lbs_vdisk_close(connection->vdisk);
	free(connection);
}

void
server_finish(void)
{
	pthread_mutex_lock(&finish_lock);
	if (finished)
		goto out;
	finished = 1;
	link_end(to_supervisor);
	to_supervisor = NULL;
	pthread_rwlock_wrlock(&gate);
	ctl_end(ctl);
	ctl = NULL;
	/* nbdkit closes no connection once it has been told to quit. */
	while (connections) {
		struct connection *c = connections;

		connections = c->next;
		lbs_vdisk_close(c->vdisk);
		free(c);
	}
	lbs_store_close(store);
	store = NULL;
out:
	pthread_mutex_unlock(&finish_lock);
}
