/*
 * serve.c - see serve.h: the store's life around a FUSE session.
 * Must never close the store under a request, nor leave a mount behind that
 * nobody answers.
 */
#include "frontends/fuse/fs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "frontends/common/ctl.h"

/* libfuse's messages go to a function without a context. */
static const struct fuse_config *log_config;
static char last_message[256]; /* while there is one thread */

static void
libfuse_message(enum fuse_log_level level, const char *format, va_list args)
{
	char text[sizeof(last_message)];

	if (level > FUSE_LOG_WARNING)
		return;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	if (log_config)
		log_config->log(log_config->ctx, LBS_LOG_WARNING, 0, text);
	else
		snprintf(last_message, sizeof(last_message), "%s", text);
}

static int __attribute__((format(printf, 3, 4)))
refuse(const struct fuse_config *config, int code, const char *format, ...)
{
	char sentence[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	config->log(config->ctx, LBS_LOG_ERROR, code, sentence);
	return code;
}

/* Signals end the session, in the main thread; threads of the store and of the
 * control socket never see them. */
static int
open_store(const struct fuse_config *config, lbs_store **store)
{
	struct lbs_open_options options = {
		.struct_size = sizeof(options),
		.flags = config->read_only ? LBS_RDONLY : 0,
		.data_dir = config->data_dir,
		.owner = config->owner,
		.log = config->log,
		.log_ctx = config->ctx,
	};
	struct rlimit none = { 0, 0 };

	/* Keys will be in this memory: no core file, no debugger. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* A loop device on our file: memory that we need must not wait for
	 * pages that only we can write. Needs CAP_SYS_RESOURCE. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	return lbs_store_open(config->store, &options, store);
}

/* "-o" for libfuse, or NULL. */
static char *
session_options(const struct fuse_config *config)
{
	char *escaped = NULL, *text = NULL;

	if (fuse_opt_add_opt_escaped(&escaped, config->store) < 0 ||
	    asprintf(&text,
		     "-ofsname=%s,subtype=lbs,default_permissions,max_read=%u"
		     "%s%s%s",
		     escaped, FS_REQUEST_BYTES, config->read_only ? ",ro" : "",
		     *config->mount_options ? "," : "",
		     config->mount_options) < 0)
		text = NULL;
	free(escaped);
	return text;
}

static struct fuse_session *
new_session(const struct fuse_config *config, struct fs *fs)
{
	struct fuse_session *session = NULL;
	char *options = session_options(config);
	char *argv[] = { (char *)config->owner, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);

	if (options)
		session = fuse_session_new(&args, &fs_operations,
					   sizeof(fs_operations), fs);
	fuse_opt_free_args(&args);
	free(options);
	return session;
}

static int
loop(const struct fuse_config *config, struct fuse_session *session)
{
	struct fuse_loop_config *how = fuse_loop_cfg_create();
	int rc;

	if (!how)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(how, config->threads);
	fuse_loop_cfg_set_idle_threads(how, config->threads);
	rc = fuse_session_loop_mt(session, how);
	fuse_loop_cfg_destroy(how);
	return rc;
}

/* Mounts, answers, unmounts. Signals are blocked when it is called. */
static int
run(const struct fuse_config *config, struct fs *fs)
{
	struct fuse_session *session = new_session(config, fs);
	const sigset_t *none = &(sigset_t){ { 0 } };
	int rc;

	if (!session)
		return refuse(config, FUSE_NOT_MOUNTED,
			      "libfuse does not take the mount options: %s",
			      last_message);
	if (fuse_set_signal_handlers(session) < 0 ||
	    fuse_session_mount(session, config->mountpoint) < 0) {
		rc = refuse(config, FUSE_NOT_MOUNTED,
			    "it cannot be mounted on %s: %s",
			    config->mountpoint,
			    last_message[0] ? last_message
					    : "see the message above");
		goto out;
	}
	log_config = config;
	config->ready(config->ctx);
	pthread_sigmask(SIG_SETMASK, none, NULL);
	rc = loop(config, session);
	/* The number of a signal is not a failure. */
	rc = rc < 0 ? refuse(config, LBS_EIO,
			     "the FUSE device cannot be read (%s): it is "
			     "unmounted",
			     strerror(-rc))
		    : 0;
	fuse_session_unmount(session);
out:
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return rc;
}

int
fuse_serve(const struct fuse_config *config)
{
	lbs_store *store = NULL;
	struct ctl *ctl = NULL;
	struct fs fs;
	sigset_t all, before;
	char sentence[256];
	int rc, closed;

	fuse_set_log_func(libfuse_message);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = open_store(config, &store);
	if (rc < 0)
		goto out;
	rc = ctl_start(config->store, store, config->owner, &ctl);
	if (rc < 0) {
		snprintf(sentence, sizeof(sentence), CTL_NOT_MADE, strerror(-rc));
		config->log(config->ctx, LBS_LOG_WARNING, 0, sentence);
	}
	fs_init(&fs, config, store);
	rc = run(config, &fs);
	ctl_end(ctl);
	fs_end(&fs);
	closed = lbs_store_close(store);
	if (rc == 0)
		rc = closed;
out:
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}
