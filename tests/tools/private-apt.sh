#!/bin/bash

# private-apt.sh DIR TYPE [SUITE]
#
# Makes DIR/apt.conf: an apt of our own, for APT_CONFIG, that takes packages
# (TYPE deb) or sources (TYPE deb-src) from where the machine takes Debian,
# and leaves the machine's apt as it is.  SUITE names another suite than the
# machine's.

set -euo pipefail

dir=$1 type=$2 suite=${3:-}

codename=$(. /etc/os-release; echo "$VERSION_CODENAME")

mkdir -p "$dir"/{lists/partial,archives/partial,parts}
dir=$(cd "$dir"; pwd)

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
options=${suite:+check-valid-until=no}

if [ -f $keyring ]; then
    options="signed-by=$keyring $options"
fi

# the origin is only known where the machine's lists have been fetched

apt-get indextargets 'Created-By: Packages' 'Component: main' \
        --format '$(REPO_URI) $(RELEASE) $(ORIGIN)' \
| sort -u \
| while read -r uri release origin; do

    case $origin in
        Debian | '$('*) ;;
        *) continue ;;
    esac

    case $release/$suite in

        "$codename/" | "$codename-security/" | "$codename-updates/")
            echo "$type ${options:+[$options]} $uri $release main"
            ;;

        # an archive whose index is behind still has the package

        "$codename/$suite")
            echo "$type [$options] $uri $suite main"
            ;;
    esac

done >"$dir/sources.list"

if [ ! -s "$dir/sources.list" ]; then
    echo "the machine's apt sources name no Debian $codename" >&2
    exit 1
fi

cat >"$dir/apt.conf" <<END
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "$dir/parts";
Dir::Etc::preferences "$dir/preferences";
Dir::Etc::preferencesparts "$dir/parts";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir";
Dir::Cache::archives "$dir/archives";
APT::Sandbox::User "root";
APT::Get::List-Cleanup "0";
Acquire::Retries "3";
Acquire::Languages "none";
END
