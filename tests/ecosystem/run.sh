#!/usr/bin/env bash
# Unmodified clients from npm, each against a fresh server. Needs Node; BEHALF_BINARY names the
# server's program (default: the debug build).
set -euo pipefail
cd "$(dirname "$0")"
npm ci --silent
for client in openid.mjs openfga.mjs start.mjs; do
  node "$client"
done
