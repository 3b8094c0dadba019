#!/usr/bin/env bash
# The journey, and the pages of an authorization store, in a real browser, each against a fresh demo.
# Needs Node and Chromium (CHROMIUM names it); BEHALF_BINARY names the server's program (default: the
# debug build).
set -euo pipefail
cd "$(dirname "$0")"
npm ci --silent
node journey.mjs
node playground.mjs
