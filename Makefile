# LBS - the Logging Block Store. `make help` lists the targets.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
BUILD    ?= build
CC       ?= cc
CFLAGS   ?= -O2 -g
PKGS     := libsodium sqlite3
WARN     := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wshadow $(if $(CI),-Werror)
# SAN=address|undefined|thread builds everything under that sanitizer.
SAN      ?=
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)

CPPFLAGS += -I. -Iliblbs/include -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
ALLCFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SANFLAGS) -fPIC -fvisibility=hidden -pthread -MMD -MP \
            $(CPPFLAGS) $(shell pkg-config --cflags $(PKGS))
LDLIBS   := $(shell pkg-config --libs $(PKGS)) -pthread
ALLLDFLAGS = $(LDFLAGS) $(SANFLAGS)

include sources.mk

.PHONY: all
all: lbs lbs-nbd lbsck nbdkit-lbs-plugin.so ## build everything

OBJ = $(patsubst %.c,$(BUILD)/%.o,$(1))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -c -o $@ $<

LIB := $(BUILD)/liblbs.a
$(LIB): $(call OBJ,$(LIBLBS_SRC))
	@rm -f $@
	ar rcs $@ $^
.PHONY: lib
lib: $(LIB)
