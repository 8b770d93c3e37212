# Manual pages, installation and packages.

PREFIX ?= /usr
# Where `make install` takes the programs from; `make packages` fills it.
PROGRAMS ?= $(CARGO_TARGET_DIR)/package/release
DIST ?= $(CARGO_TARGET_DIR)/dist

.PHONY: man
man: ## Write the manual pages again after a change of a command line
	cargo run --locked --quiet -p van-manual -- man

.PHONY: programs
programs: ## Build vand, which is vanctl too, as packages carry it
	scripts/build-release.sh "$(CARGO_TARGET_DIR)/package" vand

.PHONY: install
install: ## Install what was built below DESTDIR and PREFIX (/usr)
	packaging/install.sh "$(PROGRAMS)" "$(DESTDIR)" "$(PREFIX)"

.PHONY: deb
deb: ## Build the Debian packages into target/dist
	packaging/deb.sh "$(DIST)"

.PHONY: rpm
rpm: ## Build the RPM packages into target/dist
	packaging/rpm.sh "$(DIST)"

.PHONY: tarball
tarball: ## Build the static vanctl for any Linux into target/dist
	packaging/tarball.sh "$(DIST)"

.PHONY: container
container: ## Build the image localhost/vand for podman, of what is then in target/dist/container
	packaging/container.sh "$(DIST)"
	podman build --quiet --tag localhost/vand --timestamp "$$(scripts/source-date.sh)" "$(DIST)/container"

.PHONY: macos
macos: ## Check that vanctl compiles for macOS
	packaging/macos.sh

.PHONY: packages
packages: deb rpm tarball ## Build every package, and check them as their distributions do
	packaging/lint.sh "$(DIST)"

.PHONY: reproducible
reproducible: ## Build the packages twice, in two places, and compare every byte; takes long
	packaging/reproducible.sh

.PHONY: test-lab
test-lab: ## Test the packages on booted hosts; needs root
	scripts/test-lab.sh
