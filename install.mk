# The library that is installed, and where everything goes. What is installed stands
# here, once: uninstall takes the same lists.

LIBDIR        ?= $(PREFIX)/lib
BINDIR        ?= $(PREFIX)/bin
SBINDIR       ?= $(PREFIX)/sbin
INCLUDEDIR    ?= $(PREFIX)/include
MANDIR        ?= $(PREFIX)/share/man
DOCDIR        ?= $(PREFIX)/share/doc/lbs
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR       ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR   ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR   ?= $(PREFIX)/lib/tmpfiles.d
# nbdkit's own if it is below PREFIX, so that "nbdkit lbs" works; else beside the
# library, where lbs-nbd looks.
NBDKIT_DIR    := $(shell pkg-config --variable=plugindir nbdkit 2>/dev/null)
NBDKIT_PLUGINDIR ?= $(if $(filter $(PREFIX)/%,$(NBDKIT_DIR)),$(NBDKIT_DIR),$(LIBDIR)/nbdkit/plugins)

INSTALL_SBIN  := $(filter lbsck,$(PROGRAMS))
# A second name of lbs-fuse, which mount(8) looks for in /sbin.
INSTALL_MOUNT := $(filter mount.lbs,$(PROGRAMS))
INSTALL_BIN   := $(filter-out $(INSTALL_SBIN) $(INSTALL_MOUNT) %.so,$(PROGRAMS))
# What is of a program that is not built is not installed.
UNBUILT       := $(if $(filter lbs-fuse,$(PROGRAMS)),,lbs-fuse%)
INSTALL_MAN   := $(addprefix man/,$(filter-out $(UNBUILT),$(notdir $(wildcard man/*.1 man/*.3 man/*.7 man/*.8))))
# With the names they have here: they point to each other.
INSTALL_DOC   := README.md CHANGELOG.md LICENSE FORMAT.md DESIGN.md SECURITY.md bench/RESULTS.md bench/sdcard/README.md \
                 $(wildcard docs/*.md docs/*.svg docs/bench/*.svg examples/*.c systemd/*.env)
INSTALL_UNITS := $(filter-out $(UNBUILT),$(patsubst systemd/%.in,%,$(wildcard systemd/*.in)))

SONAME := liblbs.so.0
SOFILE := liblbs.so.$(VERSION)
LIBOUT := $(BUILD)/lib
OBJCOPY ?= objcopy

# Shared: programs of others link it. Our own programs carry what they need.
$(LIBOUT)/$(SOFILE): $(call OBJ,$(LIBLBS_SRC)) liblbs/liblbs.map
	@mkdir -p $(@D)
	$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=liblbs/liblbs.map $(if $(SAN),,-Wl$(comma)-z$(comma)defs) \
		-Wl,--as-needed $(filter %.o,$^) $(LDLIBS)
	@ln -sf $(SOFILE) $(@D)/$(SONAME)
	@ln -sf $(SONAME) $(@D)/liblbs.so
# Static, as one object in which only the calls of lbs.h are global: names of ours
# cannot meet those of a program.
$(LIBOUT)/liblbs.a: $(call OBJ,$(LIBLBS_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	$(LD) -r -o $(LIBOUT)/liblbs.o $^
	$(OBJCOPY) --localize-hidden $(LIBOUT)/liblbs.o
	ar rcs $@ $(LIBOUT)/liblbs.o

# lbs-nbd finds the plugin from where it lies itself.
PLUGIN_FROM_BIN := $(shell realpath -m --relative-to='$(BINDIR)' '$(NBDKIT_PLUGINDIR)')
$(BUILD)/tools/nbd_child.o: CPPFLAGS += -DLBS_PLUGINDIR='"$(PLUGIN_FROM_BIN)"'
$(BUILD)/tools/nbd_child.o: $(BUILD)/plugindir
$(BUILD)/plugindir: FORCE
	@mkdir -p $(@D)
	@echo '$(PLUGIN_FROM_BIN)' | cmp -s - $@ || echo '$(PLUGIN_FROM_BIN)' >$@

.PHONY: libs abi install uninstall FORCE
abi: libs ## keep the library's present binary interface (tests/abi)
	tests/abi_test.sh --write
libs: $(LIBOUT)/$(SOFILE) $(LIBOUT)/liblbs.a

# $(call EACH,FILES,DIRECTORY,MODE)
EACH = $(if $(strip $(1)),install -d $(DESTDIR)$(2) && install -m $(3) $(1) $(DESTDIR)$(2),:)
FILL = sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|; s|@INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)|' \
           -e 's|@BINDIR@|$(BINDIR)|g; s|@VERSION@|$(VERSION)|; s|@REQUIRES@|$(filter-out jansson fuse3,$(PKGS))|'

install: all ## install below PREFIX (/usr/local), into DESTDIR if given
	$(call EACH,$(INSTALL_BIN:%=$(OUT)/%),$(BINDIR),755)
	$(call EACH,$(INSTALL_SBIN:%=$(OUT)/%),$(SBINDIR),755)
	$(if $(INSTALL_MOUNT),ln -sf $(shell realpath -m --relative-to='$(SBINDIR)' '$(BINDIR)')/lbs-fuse \
		$(DESTDIR)$(SBINDIR)/mount.lbs)
	$(call EACH,$(OUT)/nbdkit-lbs-plugin.so,$(NBDKIT_PLUGINDIR),644)
	$(call EACH,$(LIBOUT)/$(SOFILE) $(LIBOUT)/liblbs.a,$(LIBDIR),644)
	ln -sf $(SOFILE) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/liblbs.so
	$(call EACH,liblbs/include/lbs.h,$(INCLUDEDIR),644)
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	$(FILL) liblbs/lbs.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/lbs.pc
	$(foreach s,1 3 7 8,$(call EACH,$(filter %.$(s),$(INSTALL_MAN)),$(MANDIR)/man$(s),644) || exit 1;)
	$(if $(INSTALL_MOUNT),install -d $(DESTDIR)$(MANDIR)/man8 && ln -sf ../man1/lbs-fuse.1 $(DESTDIR)$(MANDIR)/man8/mount.lbs.8)
	$(call EACH,completion/lbs,$(COMPLETIONDIR),644)
	for p in $(filter-out lbs,$(INSTALL_BIN) $(INSTALL_SBIN)); do \
		ln -sf lbs $(DESTDIR)$(COMPLETIONDIR)/$$p; done
	install -d $(DESTDIR)$(UNITDIR)
	for u in $(INSTALL_UNITS); do $(FILL) systemd/$$u.in >$(DESTDIR)$(UNITDIR)/$$u || exit 1; done
	install -d $(DESTDIR)$(SYSUSERSDIR) $(DESTDIR)$(TMPFILESDIR)
	install -m 644 systemd/lbs.sysusers $(DESTDIR)$(SYSUSERSDIR)/lbs.conf
	install -m 644 systemd/lbs.tmpfiles $(DESTDIR)$(TMPFILESDIR)/lbs.conf
	for f in $(INSTALL_DOC); do install -D -m 644 $$f $(DESTDIR)$(DOCDIR)/$$f || exit 1; done

# Directories only if they are empty and were not there for others.
uninstall: ## remove what install installed
	cd $(DESTDIR)/ && rm -f $(patsubst /%,%,$(INSTALL_BIN:%=$(BINDIR)/%) $(INSTALL_SBIN:%=$(SBINDIR)/%) $(INSTALL_MOUNT:%=$(SBINDIR)/%) $(INSTALL_MOUNT:%=$(MANDIR)/man8/%.8) \
		$(NBDKIT_PLUGINDIR)/nbdkit-lbs-plugin.so \
		$(addprefix $(LIBDIR)/,$(SOFILE) $(SONAME) liblbs.so liblbs.a pkgconfig/lbs.pc) \
		$(INCLUDEDIR)/lbs.h $(INSTALL_UNITS:%=$(UNITDIR)/%) $(SYSUSERSDIR)/lbs.conf $(TMPFILESDIR)/lbs.conf \
		$(foreach s,1 3 7 8,$(addprefix $(MANDIR)/man$(s)/,$(notdir $(filter %.$(s),$(INSTALL_MAN))))) \
		$(addprefix $(COMPLETIONDIR)/,$(INSTALL_BIN) $(INSTALL_SBIN)) \
		$(INSTALL_DOC:%=$(DOCDIR)/%))
	-cd $(DESTDIR)/ && rmdir -p --ignore-fail-on-non-empty $(patsubst /%,%,$(DOCDIR:%=%/examples) $(DOCDIR:%=%/systemd) \
		$(DOCDIR:%=%/docs/bench) $(DOCDIR:%=%/bench/sdcard) $(COMPLETIONDIR) \
		$(NBDKIT_PLUGINDIR) $(LIBDIR)/pkgconfig $(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) $(MANDIR:%=%/man1) $(MANDIR:%=%/man3) \
		$(MANDIR:%=%/man7) $(MANDIR:%=%/man8) $(BINDIR) $(SBINDIR) $(INCLUDEDIR)) 2>/dev/null
