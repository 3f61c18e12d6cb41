# The source lists, by room. See DESIGN.md, "File map".
CRYPTO_SRC := crypto/aead.c crypto/kdf.c crypto/secret.c
FORMAT_SRC := liblbs/format/card.c liblbs/format/segment.c liblbs/format/record.c \
              liblbs/format/index.c liblbs/format/runs.c
LIBLBS_SRC := $(CRYPTO_SRC) $(FORMAT_SRC) \
              liblbs/error.c \
              liblbs/medium/posix.c \
              liblbs/meta/meta.c liblbs/meta/schema.c liblbs/meta/mapstore.c liblbs/meta/countvfs.c \
              liblbs/map/memtable.c liblbs/map/pages.c liblbs/map/map.c \
              liblbs/log/segtab.c liblbs/log/seal.c liblbs/log/append.c liblbs/log/scan.c \
              liblbs/store/create.c liblbs/store/open.c liblbs/store/replay.c \
              liblbs/store/io.c liblbs/store/flush.c liblbs/store/checkpoint.c \
              liblbs/store/fill.c liblbs/store/run.c liblbs/store/card.c liblbs/store/stat.c \
              liblbs/store/range.c liblbs/store/background.c liblbs/store/metaroom.c
