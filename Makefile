
# Copyright (C) the ngx_http_mtd_module authors

SHELL =		/bin/bash
PREFIX =	/usr/local
NGINX =		$(or $(shell command -v nginx),/usr/sbin/nginx)
NGINX_SRC =	/usr/share/nginx/src

GATE =		ngx_http_mtd_module
EXAMPLE =	ngx_http_mtd_example_module
MTDCTL =	build/tools/mtdctl

modules-path =	$(shell $(NGINX) -V 2>&1 \
			| sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')


.PHONY:	all deps browser tools install static test chaos unit lint demo run \
	bench matrix fuzz coverage differential clean FORCE
.DELETE_ON_ERROR:

all: build/$(GATE).so tools

deps:
	@tests/tools/deps.sh

# of 300 MB, and only tests look at pages

browser: | deps
	@tests/tools/deps.sh chromium

tools: | deps
	@$(MAKE) --no-print-directory -C tools BUILD=$(CURDIR)/build/tools

install: all
	install -D -m 644 build/$(GATE).so \
		$(DESTDIR)$(modules-path)/$(GATE).so
	install -D -m 755 $(MTDCTL) $(DESTDIR)$(PREFIX)/bin/mtdctl

static: | deps
	@tests/tools/static-nginx.sh

test: all build/$(EXAMPLE).so static browser
	@tests/tools/run-tests.sh

chaos: all static browser
	MTD_CHAOS=1 MTDCTL=$(CURDIR)/$(MTDCTL) prove tests/scenarios

unit: build/$(GATE)/objs/Makefile | deps
	@$(MAKE) --no-print-directory -C tests/unit check

lint: | deps
	prove tests/lint

fuzz: static
	@tests/tools/deps.sh clang libclang-rt-dev
	@$(MAKE) --no-print-directory -s -C tests/fuzz $(or $(FUZZ),run)

# ten million requests, half a minute or so

differential: | deps
	@$(MAKE) --no-print-directory -s -C tests/unit \
		BUILD=$(CURDIR)/build/differential CFLAGS="-O2 -Wall" \
		$(CURDIR)/build/differential/test_differential
	@MTD_ROUNDS=10000000 build/differential/test_differential

coverage: static
	@$(MAKE) --no-print-directory -s -C tests/fuzz coverage

demo: all
	@demo/demo.sh

run: all
	@demo/run.sh

bench: all
	@tests/bench/bench.sh

matrix: | deps
	@tests/tools/matrix.sh

clean:
	rm -rf build


# the modules, each built by itself against the nginx that is installed

build/$(GATE).so:	addon = .
build/$(EXAMPLE).so:	addon = lua-free-hooks/example

build/%.so: build/%/objs/Makefile FORCE
	@$(MAKE) --no-print-directory -s -C build/$* -f objs/Makefile modules
	@cmp -s build/$*/objs/$*.so $@ || install -m 644 build/$*/objs/$*.so $@

build/%/objs/Makefile: config lua-free-hooks/example/config build/files
	@rm -rf build/$*
	@cp -a $(NGINX_SRC) build/$*
	@cd build/$* && . ./conf_flags && ./configure "$${NGX_CONF_FLAGS[@]}" \
		--with-cc-opt="-g -O2 -fPIC" --with-ld-opt="-fPIC" \
		--add-dynamic-module=$(CURDIR)/$(addon) >configure.log \
		|| { tail -n 20 configure.log; exit 1; }

.PRECIOUS: build/%/objs/Makefile


# changes when nginx does or a source comes or goes

build/files: FORCE | deps
	@mkdir -p build
	@{ $(NGINX) -V 2>&1; ls module lua-free-hooks/*/*; } >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
