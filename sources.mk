# The source lists, by room. See DESIGN.md, "File map".
CRYPTO_SRC := crypto/aead.c crypto/bulk.c crypto/kdf.c crypto/secret.c
ZIP_SRC    := zip/zip.c
FORMAT_SRC := liblbs/format/card.c liblbs/format/segment.c liblbs/format/record.c \
              liblbs/format/index.c liblbs/format/runs.c
LIBLBS_SRC := $(CRYPTO_SRC) $(ZIP_SRC) $(FORMAT_SRC) \
              liblbs/error.c liblbs/thread.c \
              liblbs/medium/posix.c liblbs/medium/probe.c liblbs/medium/align.c \
              liblbs/meta/meta.c liblbs/meta/decode.c liblbs/meta/rows.c liblbs/meta/schema.c liblbs/meta/mapstore.c liblbs/meta/countvfs.c \
              liblbs/meta/damaged.c liblbs/meta/salvage.c liblbs/meta/salvage_rows.c liblbs/meta/salvage_map.c \
              liblbs/meta/rewrite.c \
              liblbs/map/memtable.c liblbs/map/sort.c liblbs/map/pages.c liblbs/map/fold.c liblbs/map/map.c \
              liblbs/log/segtab.c liblbs/log/seal.c liblbs/log/turn.c liblbs/log/reserve.c liblbs/log/records.c \
              liblbs/log/append.c liblbs/log/scan.c \
              liblbs/store/create.c liblbs/store/fit.c liblbs/store/look.c liblbs/store/posix.c liblbs/store/open.c liblbs/store/load.c \
              liblbs/store/replay.c liblbs/store/judge.c liblbs/store/newer.c liblbs/store/resume.c \
              liblbs/store/session.c liblbs/store/fail.c liblbs/store/vdisk.c \
              liblbs/store/ahead.c liblbs/store/prefetch.c liblbs/store/cursor.c liblbs/store/read.c liblbs/store/write.c \
              liblbs/store/discard.c liblbs/store/holes.c liblbs/store/flush.c liblbs/store/checkpoint.c liblbs/store/slice.c liblbs/store/mapwrite.c \
              liblbs/store/fill.c liblbs/store/run.c liblbs/store/fork.c liblbs/store/card.c liblbs/store/stat.c \
              liblbs/store/range.c liblbs/store/background.c liblbs/store/metaroom.c \
              liblbs/store/victim.c liblbs/store/clean.c liblbs/store/clean_copy.c liblbs/store/clean_list.c liblbs/store/clean_now.c liblbs/store/shrink.c liblbs/store/room.c liblbs/store/short.c \
              liblbs/store/event.c \
              liblbs/queue/queue.c liblbs/queue/worker.c liblbs/queue/done.c

COMMON_SRC := tools/common/keyopt.c tools/common/names.c tools/common/options.c \
              tools/common/progress.c tools/common/report.c tools/common/serving.c \
              tools/common/size.c tools/common/stdio.c
SERVE_SRC  := tools/nbd_serve.c tools/nbd_child.c tools/nbd_listen.c
LBS_SRC    := tools/lbs.c tools/cmd_create.c tools/cmd_info.c tools/cmd_stat.c tools/cmd_list.c tools/cmd_clean.c \
              tools/cmd_import.c tools/cmd_export.c tools/copy.c tools/copy_attach.c tools/image.c tools/qemu.c tools/wall.c \
              tools/nbd_private.c $(SERVE_SRC) \
              tools/cmd_later.c tools/ask.c tools/ctl_client.c $(COMMON_SRC)
LBSNBD_SRC := tools/lbs-nbd.c $(SERVE_SRC) tools/nbd_inherit.c \
              tools/ctl_client.c $(COMMON_SRC)
LBSCK_SRC  := tools/lbsck.c tools/ck_run.c tools/ck_report.c tools/ck_scrub.c tools/ck_salvage.c \
              recovery/check.c recovery/survey.c recovery/repair.c recovery/card.c recovery/scrub.c recovery/lost.c \
              recovery/closed.c recovery/salvage.c \
              $(COMMON_SRC)
CTL_SRC    := frontends/common/ctl.c frontends/common/ctl_clean.c
LBSFUSE_SRC := tools/lbs-fuse.c tools/fuse_options.c frontends/fuse/serve.c frontends/fuse/fs.c \
               frontends/fuse/node.c frontends/fuse/io.c \
               $(CTL_SRC) $(COMMON_SRC)
PLUGIN_SRC := frontends/nbd/plugin.c frontends/nbd/io.c frontends/nbd/server.c \
              frontends/nbd/link.c $(CTL_SRC)

LAB_SRC    := $(wildcard tests/lab/*.c)

SDCARD_SRC := bench/sdcard/preset.c bench/sdcard/curve.c bench/sdcard/block.c bench/sdcard/page.c \
              bench/sdcard/card.c bench/sdcard/count.c bench/sdcard/report.c
# The same with contents, power cuts and a server.
SDCARD_DEVICE_SRC := $(SDCARD_SRC) bench/sdcard/device.c
SDCARD_PLUGIN_SRC := $(SDCARD_DEVICE_SRC) bench/sdcard/backing.c bench/sdcard/pace.c bench/sdcard/plugin.c
ONCARD_SRC := $(filter-out bench/sdcard/report.c,$(SDCARD_SRC)) bench/thin.c bench/nocipher.c \
              bench/oncard/host.c bench/oncard/raw.c bench/oncard/lbs.c bench/oncard/blocks.c bench/oncard/main.c
