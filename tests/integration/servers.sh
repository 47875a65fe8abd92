#!/usr/bin/env bash
# The servers of `make integration` that are Debian's packages; SeaweedFS comes from its Python package.
set -euo pipefail
installed() { command -v redis-server && { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }; } >/dev/null 2>&1
if ! installed; then
  if ! { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; }; then
    echo "error: install PostgreSQL and Redis first, as root: apt-get install -y postgresql redis-server" >&2
    exit 1
  fi
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql redis-server >/dev/null
fi
