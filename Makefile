# LBS - the Logging Block Store. `make help` lists the targets.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
BUILD    ?= build
CC       ?= cc
CFLAGS   ?= -O2 -g
PKGS     := libsodium sqlite3 jansson
WARN     := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wshadow $(if $(CI),-Werror)
# SAN=address,undefined or SAN=thread builds everything under that sanitizer.
SAN      ?=
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)

CPPFLAGS += -I. -Iliblbs/include -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
ALLCFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SANFLAGS) -fPIC -fvisibility=hidden -pthread -MMD -MP \
            $(CPPFLAGS) $(PKG_CFLAGS)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -pthread
LINK      = $(CC) $(LDFLAGS) $(SANFLAGS) -o $@

include sources.mk

PROGRAMS := lbs lbs-nbd lbsck nbdkit-lbs-plugin.so
OUT      := $(if $(filter build,$(BUILD)),.,$(BUILD))

.PHONY: all
all: $(PROGRAMS:%=$(OUT)/%) ## build the programs and the nbdkit plugin

OBJ = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIB := $(BUILD)/liblbs.a

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -c -o $@ $<

$(LIB): $(call OBJ,$(LIBLBS_SRC))
	@rm -f $@
	ar rcs $@ $^

.PHONY: lib
lib: $(LIB)

$(OUT)/lbs: $(call OBJ,$(LBS_SRC)) $(LIB)
	$(LINK) $^ $(LDLIBS)
$(OUT)/lbs-nbd: $(call OBJ,$(LBSNBD_SRC)) $(LIB)
	$(LINK) $^ $(LDLIBS)
$(OUT)/lbsck: $(call OBJ,$(LBSCK_SRC)) $(LIB)
	$(LINK) $^ $(LDLIBS)
$(OUT)/nbdkit-lbs-plugin.so: $(call OBJ,$(PLUGIN_SRC)) $(LIB) frontends/nbd/plugin.map
	$(LINK) -shared -Wl,--version-script=frontends/nbd/plugin.map $(filter-out %.map,$^) $(LDLIBS)

# ---- tests -----------------------------------------------------------------
# Tests link the objects, not the shared symbols, and see every seal through
# --wrap, so the code under test is the code that ships.
TESTBIN := $(BUILD)/tests
LAB_OBJ := $(call OBJ,$(LAB_SRC))
TEST_LIBS := $(LDLIBS) $(shell pkg-config --libs cmocka 2>/dev/null)

$(TESTBIN)/%: $(BUILD)/tests/%.o $(LAB_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(LINK) $^ -Wl,--wrap=aead_seal $(TEST_LIBS)
